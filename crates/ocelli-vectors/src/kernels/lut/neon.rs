//! 16 points of a block a table lookup (`tbl`), summed in 16 bits.

use std::arch::aarch64::*;

use super::{Lookup, Points, RUN, UNIT, WORDS};

/// Sums of points 0 to 7 and 8 to 15: 256 blocks of 8-bit entries fit 16 bits.
type Sums = [int16x8_t; 2];

#[allow(unsafe_code)] // reads through a pointer
#[target_feature(enable = "neon")]
unsafe fn add(sums: &mut Sums, codes: uint8x16_t, table: *const i8) {
    // SAFETY: the caller vouches for a block of entries.
    let values = vqtbl1q_s8(unsafe { vld1q_s8(table) }, codes);
    sums[0] = vaddw_s8(sums[0], vget_low_s8(values));
    sums[1] = vaddw_high_s8(sums[1], values);
}

/// Integer sums of the 32 points of a unit.
///
/// # Safety
/// The unit lies within the codes and the table has the layout's rows.
#[allow(unsafe_code)] // reads through pointers
#[target_feature(enable = "neon")]
pub(super) unsafe fn sums(points: Points<'_>, unit: usize, lookup: Lookup<'_>) -> [i32; UNIT] {
    let layout = points.layout;
    let nibble = vdupq_n_u8(15);
    let mut sums = [[vdupq_n_s16(0); 2]; 2];
    // SAFETY: the caller vouches for the unit's bytes and the table's rows.
    unsafe {
        let codes = points.codes.as_ptr().add(unit * layout.unit_bytes());
        let table = lookup.table.as_ptr();
        // Loading four bytes a point apart gives a register a block.
        let blocks = |at: usize| {
            let four = vld4q_u8(codes.add(at));
            [four.0, four.1, four.2, four.3]
        };
        for chunk in 0..layout.chunks {
            let rows = table.add(2 * chunk * RUN);
            for (half, sums) in sums.iter_mut().enumerate() {
                for (block, codes) in blocks((2 * chunk + half) * RUN).into_iter().enumerate() {
                    add(sums, vandq_u8(codes, nibble), rows.add(block * WORDS));
                    add(sums, vshrq_n_u8::<4>(codes), rows.add(RUN + block * WORDS));
                }
            }
        }
        if layout.half {
            let row = table.add(2 * layout.chunks * RUN);
            for (block, codes) in blocks(2 * layout.chunks * RUN).into_iter().enumerate() {
                add(&mut sums[0], vandq_u8(codes, nibble), row.add(block * WORDS));
                add(&mut sums[1], vshrq_n_u8::<4>(codes), row.add(block * WORDS));
            }
        }
        let mut lanes = [0i16; UNIT];
        for (i, sums) in sums.into_iter().flatten().enumerate() {
            vst1q_s16(lanes.as_mut_ptr().add(8 * i), sums);
        }
        lanes.map(i32::from)
    }
}

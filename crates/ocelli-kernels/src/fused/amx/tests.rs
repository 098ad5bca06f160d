use proptest::prelude::*;

use super::registers::Registers;
use super::rows::Rows;
use super::*;
use crate::fused::pack::pair;

/// Runs of a result, `[offset, len]` each.
fn runs(runs: &[[usize; 2]]) -> Vec<Run> {
    runs.iter().map(|&[offset, len]| Run { offset, len }).collect()
}

/// What a register holds, and a product of registers, by way of memory.
fn product(sums: f32, pixels: &[[f32; 2]], filters: &[[f32; 2]]) -> f32 {
    let mut registers = Registers::new();
    registers.configure(&Config::new([1, 1], pixels.len()).0);
    let pixels: Vec<f32> = pixels.iter().map(|&numbers| pair(numbers)).collect();
    let filters: Vec<[f32; SIDE]> = filters.iter().map(|&numbers| [pair(numbers); SIDE]).collect();
    let mut row = [sums; SIDE];
    #[allow(unsafe_code)] // rows of registers from memory
    // SAFETY: all rows are there: one of the words of pixels, one of sums, and as many of filters as there are words.
    unsafe {
        registers.load(0, row.as_ptr(), 0);
        registers.load(4, pixels.as_ptr(), 0);
        registers.load(6, filters.as_ptr().cast(), SIDE * WORD);
        registers.multiply([0, 4, 6]);
        registers.store(0, row.as_mut_ptr(), 0);
    }
    assert!(row.iter().all(|sum| sum.to_bits() == row[0].to_bits()), "all columns are alike");
    row[0]
}

#[test]
fn amx_products_are_summed_in_the_order_of_the_manual() {
    assert_eq!(product(0.5, &[[1.0, 2.0], [3.0, 4.0]], &[[5.0, 6.0], [7.0, 8.0]]), 70.5);
    // Alone, the small number would be lost beside either large one; even and odd are summed apart, and cancel first.
    let large = 2.0_f32.powi(30);
    assert_eq!(product(1.0, &[[large, -large]], &[[1.0, 1.0]]), 1.0);
    assert_eq!(product(large, &[[1.0, 0.0], [-large, 0.0]], &[[1.0, 0.0], [1.0, 0.0]]), 0.0);
    // Products are not rounded before they are added: this one overflows alone.
    let huge = 2.0_f32.powi(127);
    assert_eq!(product(0.0, &[[-huge, 0.0], [huge, 0.0]], &[[1.0, 0.0], [1.5, 0.0]]), huge / 2.0);
    assert_eq!(product(0.0, &[[-huge, 0.0], [huge, 0.0]], &[[1.0, 0.0], [2.0, 0.0]]), huge);
}

#[test]
fn amx_flushes_what_is_not_normal() {
    let least = f32::MIN_POSITIVE;
    assert_eq!(product(0.0, &[[least, 0.0]], &[[1.0, 0.0]]), least);
    assert_eq!(product(0.0, &[[least, 0.0]], &[[0.5, 0.0]]), 0.0, "results");
    assert_eq!(product(0.0, &[[least / 2.0, 0.0]], &[[4.0, 0.0]]), 0.0, "pixels");
    assert_eq!(product(0.0, &[[4.0, 0.0]], &[[0.0, least / 2.0]]), 0.0, "filters");
    assert_eq!(product(least / 2.0, &[[least, 0.0]], &[[1.0, 0.0]]), least, "sums");
    assert!(product(0.0, &[[f32::NAN, 0.0]], &[[0.0, 0.0]]).is_nan());
    assert!(product(f32::INFINITY, &[[1.0, 0.0]], &[[f32::NEG_INFINITY, 0.0]]).is_nan());
}

#[test]
fn amx_steps_are_alike_where_they_can_be() {
    // Three rows of a 3x3 filter over 64 channels, and of a 7x7 one over 3.
    for (run, words, steps) in [(96, 16, 6), (14, 14, 1), (24, 12, 2)] {
        let pieces = [(0, runs(&[[0, run], [1000, run], [2000, run]]))];
        let passes = passes(&pieces, 64);
        assert_eq!(passes.len(), 1);
        assert_eq!((passes[0].words, passes[0].steps.len()), (words, 3 * steps));
        assert_eq!((passes[0].reach, passes[0].depth), (2000 + run, 3 * run));
        let second = Step { pixel: 1000 * WORD, filter: run * 64 * WORD };
        assert_eq!(passes[0].steps[steps], second);
    }
}

proptest! {
    #[test]
    fn amx_steps_cover_all_words_once(
        runs in proptest::collection::vec([0..500_usize, 0..60_usize], 1..6),
        most in 1..50_usize,
        units in 1..=4_usize,
    ) {
        let runs = self::runs(&runs);
        let lanes = units * UNIT;
        let mut read = Vec::new();
        for pass in passes(&super::super::pack::pieces(&runs, most), lanes) {
            prop_assert!((1..=SIDE).contains(&pass.words));
            for step in pass.steps {
                for word in 0..pass.words {
                    let (pixel, filter) = (step.pixel / WORD + word, step.filter / WORD / lanes + word);
                    prop_assert!(pixel < pass.reach && filter < pass.depth);
                    read.push((filter, pixel));
                }
            }
        }
        read.sort_unstable();
        let all: Vec<_> = runs.iter().flat_map(|run| run.offset..run.offset + run.len).enumerate().collect();
        prop_assert_eq!(read, all);
    }

    #[test]
    fn amx_rows_hold_every_result_once(
        lines in proptest::collection::vec([1..40_usize, 0..30_usize], 0..12),
        pitch in 1..9_usize,
        most in 1..9_usize,
    ) {
        let (mut starts, mut at) = (Vec::new(), 3);
        for [len, gap] in lines {
            starts.extend((0..len).map(|index| at + index * pitch));
            at += len * pitch + gap;
        }
        let rows = Rows::new(&starts);
        let (mut next, mut result) = (0, 0);
        for pair in rows.tiles.chunks(2) {
            let first = next;
            for tile in pair {
                prop_assert_eq!(tile.row, next);
                prop_assert!((1..=SIDE).contains(&tile.rows));
                prop_assert!(tile.start + (tile.rows - 1) * tile.pitch <= rows.last);
                next += tile.rows;
            }
            for (row, results) in rows.results(first..next, most) {
                prop_assert_eq!(results.start, result);
                prop_assert!((1..=most).contains(&results.len()));
                for (row, result) in (row..).zip(results.clone()) {
                    let tile = pair.iter().find(|tile| row < tile.row + tile.rows).unwrap();
                    prop_assert_eq!(tile.start + (row - tile.row) * tile.pitch, starts[result]);
                }
                result = results.end;
            }
        }
        prop_assert_eq!((next, result), (rows.count, starts.len()));
    }
}

#[test]
fn amx_tiles_span_short_lines() {
    // Seven results to a line with two pixels of padding between them: four tiles, not seven.
    let starts: Vec<usize> = (0..7).flat_map(|line| (0..7).map(move |at| (line * 9 + at) * 5)).collect();
    assert_eq!(Rows::new(&starts).tiles.iter().map(|tile| tile.rows).collect::<Vec<_>>(), [16, 16, 16, 13]);
    // Fourteen fill a tile well enough.
    let starts: Vec<usize> = (0..4).flat_map(|line| (0..14).map(move |at| (line * 16 + at) * 5)).collect();
    assert_eq!(Rows::new(&starts).tiles.iter().map(|tile| tile.rows).collect::<Vec<_>>(), [14; 4]);
}

#[test]
fn amx_is_refused_where_it_is_not() {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !flags.is_empty() && !flags.contains("amx_bf16") {
        assert!(!is_available());
        assert_eq!(kind_for(1000), None);
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod on_the_processor {
    use std::arch::naked_asm;

    use burn::tensor::{Device, Tensor, TensorData};

    use super::super::processor::{Processor, is_kept, is_permitted, is_there, known_product};
    use super::super::trapped::{Instruction, are_released, catch, decode, products};
    use super::*;
    use crate::{Activation, ConvOptions, Joint, Precision};

    /// Lets the processor's code run: on its tiles, or trapped.
    fn allow_tiles() {
        if !is_available() {
            catch();
        }
    }

    /// One of each instruction.
    #[unsafe(naked)]
    #[allow(unsafe_code)] // never called, only read
    extern "sysv64" fn specimens() {
        naked_asm!(
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm6, [rcx + r10]",
            "tileloadd tmm7, [rcx + r10 + 64]",
            "tileloadd tmm5, [rdx + r9]",
            "tileloadd tmm1, [r12 + 4*rbx + 4096]",
            "tilestored [rax + rcx], tmm0",
            "tilestored [rax + rcx + 64], tmm3",
            "ldtilecfg [rsi]",
            "ldtilecfg [r13]",
            "ldtilecfg [rsp + 128]",
            "tilezero tmm2",
            "tilerelease",
            "ret",
        );
    }

    /// The VEX prefix for map 0F38, W0, L0, by the manual: `R`, `X`, `B` and `vvvv` inverted; pp 0 is none, 2 F3, 3 F2.
    fn vex([r, x, b]: [u8; 3], vvvv: u8, pp: u8) -> [u8; 3] {
        [0xC4, (1 - r) << 7 | (1 - x) << 6 | (1 - b) << 5 | 2, (15 - vvvv) << 3 | pp]
    }

    /// A byte of two, three and three bits: mode, register, low register; or scale, index, base.
    fn octal(high: u8, middle: u8, low: u8) -> u8 {
        high << 6 | middle << 3 | low
    }

    /// The bytes of an instruction: prefix, and opcode, ModRM, SIB, displacement.
    fn code(prefix: [u8; 3], rest: &[u8]) -> Vec<u8> {
        [&prefix[..], rest].concat()
    }

    #[test]
    fn amx_instructions_are_encoded_as_in_the_manual() {
        const NONE: u8 = 0;
        const F3: u8 = 2;
        const F2: u8 = 3;
        let plain = [0; 3];
        let general: [usize; 16] = std::array::from_fn(|index| 1000 * (index + 1));
        let [rax, rcx, rdx, rbx, rsp, rsi] = [0, 1, 2, 3, 4, 6].map(|index: usize| general[index]);
        let [r9, r10, r12, r13] = [9, 10, 12, 13].map(|index: usize| general[index]);
        let load = |register, from, pitch| Instruction::Load { register, from, pitch };
        let store = |register, to, pitch| Instruction::Store { register, to, pitch };
        let configure = |from| Instruction::Configure { from };
        let expected = [
            // VEX.128.F3.0F38.W0 5C 11:rrr:bbb, the third operand in vvvv.
            (code(vex(plain, 6, F3), &[0x5C, octal(3, 0, 4)]), Instruction::Multiply([0, 4, 6])),
            (code(vex(plain, 7, F3), &[0x5C, octal(3, 3, 5)]), Instruction::Multiply([3, 5, 7])),
            // VEX.128.F2.0F38.W0 4B !(11):rrr:100, with scale, index and base in the next byte.
            (code(vex([0, 1, 0], 0, F2), &[0x4B, octal(0, 6, 4), octal(0, 2, 1)]), load(6, rcx, r10)),
            (
                code(vex([0, 1, 0], 0, F2), &[0x4B, octal(1, 7, 4), octal(0, 2, 1), 64]),
                load(7, rcx + 64, r10),
            ),
            (code(vex([0, 1, 0], 0, F2), &[0x4B, octal(0, 5, 4), octal(0, 1, 2)]), load(5, rdx, r9)),
            (
                code(vex([0, 0, 1], 0, F2), &[0x4B, octal(2, 1, 4), octal(2, 3, 4), 0, 16, 0, 0]),
                load(1, r12 + 4096, 4 * rbx),
            ),
            // VEX.128.F3.0F38.W0 4B !(11):rrr:100.
            (code(vex(plain, 0, F3), &[0x4B, octal(0, 0, 4), octal(0, 1, 0)]), store(0, rax, rcx)),
            (code(vex(plain, 0, F3), &[0x4B, octal(1, 3, 4), octal(0, 1, 0), 64]), store(3, rax + 64, rcx)),
            // VEX.128.NP.0F38.W0 49 !(11):000:bbb.
            (code(vex(plain, 0, NONE), &[0x49, octal(0, 0, 6)]), configure(rsi)),
            (code(vex([0, 0, 1], 0, NONE), &[0x49, octal(1, 0, 5), 0]), configure(r13)),
            (
                code(vex(plain, 0, NONE), &[0x49, octal(2, 0, 4), octal(0, 4, 4), 128, 0, 0, 0]),
                configure(rsp + 128),
            ),
            // VEX.128.F2.0F38.W0 49 11:rrr:000, and VEX.128.NP.0F38.W0 49 C0.
            (code(vex(plain, 0, F2), &[0x49, octal(3, 2, 0)]), Instruction::Zero(2)),
            (code(vex(plain, 0, NONE), &[0x49, 0xC0]), Instruction::Release),
        ];
        let start = specimens as *const () as *const u8;
        #[allow(unsafe_code)] // the bytes of a function
        // SAFETY: the function is as long as the encodings, or the first that differs ends the test.
        let byte = |index: usize| unsafe { *start.add(index) };
        let mut at = 0;
        for (bytes, instruction) in expected {
            let found: Vec<u8> = (at..at + bytes.len()).map(byte).collect();
            assert_eq!(found, bytes, "{instruction:?}: {found:02x?}, by the manual {bytes:02x?}");
            assert_eq!(decode(|index| byte(at + index), &general), Some((instruction, bytes.len())));
            at += bytes.len();
        }
        assert_eq!(byte(at), 0xC3, "ret");
        assert_eq!(decode(|index| byte(at + index), &general), None);
    }

    #[test]
    fn amx_code_gives_the_known_product() {
        allow_tiles();
        #[allow(unsafe_code)] // the processor's tiles
        // SAFETY: the processor has tiles, or they are trapped.
        let found = known_product(&mut unsafe { Processor::new() });
        assert_eq!(found, known_product(&mut Emulated::new()));
        assert!(found.iter().any(|&sum| sum != 0.0));
    }

    fn numbers(seed: usize, count: usize) -> Vec<f32> {
        let noise = |index: usize| (((index * 7919 + seed * 104_729) * 2_654_435_761) >> 7) & 0xFFF;
        (0..count).map(|index| noise(index) as f32 / 2048.0 - 1.0).collect()
    }

    fn run(kind: Kind, parts: &ConvParts, size: [usize; 3]) -> Vec<u32> {
        let conv = PackedConv::on_tiles(parts.clone(), kind).unwrap();
        let [batch, height, width] = size;
        let shape = [batch, parts.shape[1] * parts.options.groups, height, width];
        let tensor = |seed, shape: [usize; 4]| {
            let values = numbers(seed, shape.iter().product());
            Tensor::<4>::from_data(TensorData::new(values, shape), &Device::flex())
        };
        let x = tensor(1, shape);
        let plain = conv.forward(x.clone(), None).dims();
        let output = conv.forward(x, Some((tensor(2, plain), Joint::BeforeActivation)));
        output.into_data().try_to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
    }

    fn parts(shape: [usize; 4], options: ConvOptions) -> ConvParts {
        ConvParts {
            bias: Some(numbers(5, shape[0])),
            activation: Activation::Leaky(0.25),
            precision: Precision::Bf16,
            ..ConvParts::new(numbers(3, shape.iter().product()), shape, options)
        }
    }

    /// Convolutions of every arrangement of tiles: one or two of pixels, one or two of filters, full or not, in one pass or
    /// several, in several pieces.
    fn cases() -> Vec<(ConvParts, [usize; 3])> {
        let padded = |pad: usize| ConvOptions { padding: [pad, pad], ..ConvOptions::default() };
        let strided = ConvOptions { stride: [2, 2], ..padded(1) };
        let grouped = ConvOptions { groups: 2, ..padded(1) };
        let dilated = ConvOptions { dilation: [2, 3], ..padded(3) };
        vec![
            (parts([64, 64, 3, 3], padded(1)), [1, 14, 14]),
            (parts([40, 48, 3, 3], strided), [2, 9, 13]),
            (parts([16, 3, 7, 7], padded(3)), [1, 8, 20]),
            (parts([35, 33, 1, 1], padded(0)), [2, 5, 9]),
            (parts([70, 2000, 1, 1], padded(0)), [1, 2, 3]),
            (parts([34, 70, 3, 3], grouped), [2, 7, 7]),
            (parts([5, 18, 3, 2], dilated), [1, 9, 10]),
            (parts([17, 1, 1, 1], padded(0)), [3, 1, 1]),
        ]
    }

    #[test]
    fn amx_code_of_the_processor_gives_the_bits_of_the_emulation() {
        allow_tiles();
        // On this thread alone, where traps are counted.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        pool.install(|| {
            let before = products();
            for (parts, size) in cases() {
                let (found, expected) =
                    (run(Kind::Processor, &parts, size), run(Kind::Emulated, &parts, size));
                assert_eq!(found, expected, "{:?} on {size:?}", parts.shape);
            }
            assert!(are_released(), "nothing stays in use");
            assert_eq!(products() > before, !is_available(), "instructions trap where there are no tiles");
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn amx_code_gives_the_bits_of_the_emulation_on_all_shapes(
            (channels, out, groups) in (1..60_usize, 1..70_usize, 1..3_usize),
            kernel in [1..4_usize, 1..4_usize],
            stride in [1..3_usize, 1..3_usize],
            dilation in [1..3_usize, 1..3_usize],
            padding in [0..3_usize, 0..3_usize],
            (batch, room) in (1..3_usize, [0..18_usize, 0..18_usize]),
        ) {
            allow_tiles();
            let parts = parts(
                [out * groups, channels, kernel[0], kernel[1]],
                ConvOptions { stride, padding, dilation, groups },
            );
            let extent = |axis: usize| dilation[axis] * (kernel[axis] - 1) + 1 + room[axis];
            let size = [batch, extent(0), extent(1)];
            prop_assert_eq!(run(Kind::Processor, &parts, size), run(Kind::Emulated, &parts, size));
        }
    }

    #[test]
    fn amx_is_asked_for_in_order() {
        let answers = [is_there(), is_kept(), is_permitted()];
        assert!(answers[0] || answers == [false; 3], "no system has what its processor has not: {answers:?}");
        assert!(!is_available() || answers == [true; 3]);
    }

    #[test]
    fn amx_of_the_processor_is_used_where_it_is() {
        if !is_available() {
            eprintln!("SKIPPED: this processor has no AMX, or this process may not use it");
            return;
        }
        for (parts, size) in cases() {
            let conv = PackedConv::new(parts.clone()).unwrap();
            let Kernels::Dense(dense) = &conv.0.kernels else { panic!("dense filters") };
            assert!(dense.tiles == Some(Kind::Processor) || parts.shape[1] < 2 * LEAST_WORDS);
            for threads in [1, 2, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let found = pool.install(|| run(Kind::Processor, &parts, size));
                assert_eq!(found, run(Kind::Emulated, &parts, size), "{:?} on {size:?}", parts.shape);
            }
        }
    }
}

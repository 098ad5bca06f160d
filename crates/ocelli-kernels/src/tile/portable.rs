//! The tile in plain Rust: the reference of the others, and the path of machines they do not know.

use super::{HEIGHT, Product, Sums, UNIT, WIDTH, Walk};

pub(super) fn apply(product: &Product<'_>, sums: &mut Sums, add: bool) {
    let offset = |offsets: &super::Offsets, k: usize| offsets.values[k] as usize;
    for unit in 0..product.units {
        for (line, sums) in sums.iter_mut().enumerate().take(product.lines) {
            let lanes = &mut sums[unit * UNIT..(unit + 1) * UNIT];
            let mut sum = [0.0; UNIT];
            if add {
                sum.copy_from_slice(lanes);
            }
            for k in 0..product.depth() {
                let (vector, scalar) = match product.walk {
                    Walk::Strided { stride, .. } => (k * stride, k),
                    Walk::VectorsAt(offsets) => (offset(offsets, k), k),
                    Walk::ScalarsAt { stride, offsets } => (k * stride, offset(offsets, k)),
                    Walk::At(steps) => steps.values[k].map(|offset| offset as usize).into(),
                };
                let scalar = product.scalars[product.starts[line] + scalar];
                let vector = &product.vectors[vector + unit * UNIT..][..UNIT];
                for (sum, value) in sum.iter_mut().zip(vector) {
                    *sum += value * scalar;
                }
            }
            lanes.copy_from_slice(&sum);
        }
    }
}

pub(super) fn turn(sums: &Sums, units: usize, turned: &mut [[f32; HEIGHT]; WIDTH]) {
    for (lane, turned) in turned.iter_mut().enumerate().take(units * UNIT) {
        for (value, sums) in turned.iter_mut().zip(sums) {
            *value = sums[lane];
        }
    }
}

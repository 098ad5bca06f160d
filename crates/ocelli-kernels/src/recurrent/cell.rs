//! One step of a recurrent cell for one sample, there and back.

use ocelli_simd::math::{sigmoid, tanh};
use ocelli_simd::vectorized;

/// The kinds of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Long short-term memory: gates in the order input, forget, cell, output.
    Lstm,
    /// Gated recurrent unit: gates in the order reset, update, new.
    Gru,
}

impl Cell {
    /// Gates, each of as many numbers as the state.
    pub(crate) fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }

    /// Tensors of its state: what it puts out, and for an LSTM the cell.
    pub(crate) fn states(self) -> usize {
        match self {
            Self::Lstm => 2,
            Self::Gru => 1,
        }
    }
}

/// Four equal parts of a row.
#[inline(always)]
fn quarters(row: &mut [f32], size: usize) -> [&mut [f32]; 4] {
    let (a, rest) = row.split_at_mut(size);
    let (b, rest) = rest.split_at_mut(size);
    let (c, d) = rest.split_at_mut(size);
    [a, b, c, &mut d[..size]]
}

/// Three equal parts of a row.
#[inline(always)]
fn thirds(row: &mut [f32], size: usize) -> [&mut [f32]; 3] {
    let (a, rest) = row.split_at_mut(size);
    let (b, c) = rest.split_at_mut(size);
    [a, b, &mut c[..size]]
}

vectorized! {
    /// An LSTM's step: replaces `gates`, to which what comes from the state is still to be added, by the activated gates,
    /// and writes the new cell and output.
    pub(super) fn lstm<M>(gates: &mut [f32], hidden: &[f32], previous: &[f32], cell: &mut [f32], output: &mut [f32]) {
        let n = output.len();
        let [input, forget, new, out] = quarters(gates, n);
        let [from_input, from_forget, from_new, from_out] =
            std::array::from_fn(|gate| &hidden[gate * n..][..n]);
        let (previous, cell) = (&previous[..n], &mut cell[..n]);
        for k in 0..n {
            input[k] = sigmoid::<M>(input[k] + from_input[k]);
            forget[k] = sigmoid::<M>(forget[k] + from_forget[k]);
            new[k] = tanh::<M>(new[k] + from_new[k]);
            out[k] = sigmoid::<M>(out[k] + from_out[k]);
            cell[k] = forget[k] * previous[k] + input[k] * new[k];
            output[k] = out[k] * tanh::<M>(cell[k]);
        }
    }
}

vectorized! {
    /// Back through an LSTM's step: replaces activated `gates` by the gradients of what went into them, and the gradient
    /// `slope` of the cell by that of the previous one. `gradient` is that of the output.
    pub(super) fn lstm_back<M>(
        gates: &mut [f32],
        previous: &[f32],
        cell: &[f32],
        gradient: &[f32],
        slope: &mut [f32],
    ) {
        let n = slope.len();
        let [input, forget, new, out] = quarters(gates, n);
        let (previous, cell, gradient) = (&previous[..n], &cell[..n], &gradient[..n]);
        for k in 0..n {
            let (i, f, g, o) = (input[k], forget[k], new[k], out[k]);
            let bent = tanh::<M>(cell[k]);
            let from_cell = slope[k] + gradient[k] * o * (1.0 - bent * bent);
            input[k] = from_cell * g * i * (1.0 - i);
            forget[k] = from_cell * previous[k] * f * (1.0 - f);
            new[k] = from_cell * i * (1.0 - g * g);
            out[k] = gradient[k] * bent * o * (1.0 - o);
            slope[k] = from_cell * f;
        }
    }
}

vectorized! {
    /// A GRU's step: replaces `gates` by the activated gates, and writes the new output; `kept` gets what the state gave to
    /// the last gate.
    pub(super) fn gru<M>(gates: &mut [f32], hidden: &[f32], previous: &[f32], kept: &mut [f32], output: &mut [f32]) {
        let n = output.len();
        let [reset, update, new] = thirds(gates, n);
        let [from_reset, from_update, from_new] = std::array::from_fn(|gate| &hidden[gate * n..][..n]);
        let (previous, kept) = (&previous[..n], &mut kept[..n]);
        for k in 0..n {
            reset[k] = sigmoid::<M>(reset[k] + from_reset[k]);
            update[k] = sigmoid::<M>(update[k] + from_update[k]);
            kept[k] = from_new[k];
            new[k] = tanh::<M>(new[k] + reset[k] * from_new[k]);
            output[k] = new[k] + update[k] * (previous[k] - new[k]);
        }
    }
}

vectorized! {
    /// Back through a GRU's step: replaces activated `gates` by the gradients of what went into them, `kept` by the gradient
    /// of itself, and the gradient of the output by that which goes past the gates to the previous one.
    pub(super) fn gru_back(gates: &mut [f32], previous: &[f32], kept: &mut [f32], gradient: &mut [f32]) {
        let n = gradient.len();
        let [reset, update, new] = thirds(gates, n);
        let (previous, kept) = (&previous[..n], &mut kept[..n]);
        for k in 0..n {
            let (r, z, new_k) = (reset[k], update[k], new[k]);
            let into_new = gradient[k] * (1.0 - z) * (1.0 - new_k * new_k);
            reset[k] = into_new * kept[k] * r * (1.0 - r);
            update[k] = gradient[k] * (previous[k] - new_k) * z * (1.0 - z);
            new[k] = into_new;
            kept[k] = into_new * r;
            gradient[k] *= z;
        }
    }
}

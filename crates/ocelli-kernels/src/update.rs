//! What optimisers do to parameters, all of them in one go and in place.

use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::arrange::arranged;
use crate::backend::{Numbers, from_flex, into_flex};
use crate::jobs;
use crate::pieces::{PIECE, pieces};
use ocelli_simd::lanes::Lanes;
use ocelli_simd::vectorized;

/// How a parameter moves, with PyTorch's arithmetic. `decay` times the value is added to the gradient first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Against the gradient, by `rate`.
    Descent {
        /// Length of the step.
        rate: f64,
        /// L2 penalty.
        decay: f64,
    },
    /// Against a direction that keeps `momentum` of itself and takes up the gradient: the first moment.
    Momentum {
        /// Length of the step.
        rate: f64,
        /// L2 penalty.
        decay: f64,
        /// Share of the direction that is kept.
        momentum: f64,
        /// Whether the step looks ahead by another `momentum` of the new direction.
        nesterov: bool,
    },
    /// Against the first moment over the root of the second.
    Adam {
        /// Length of the step, corrected for the first moment's start from zero.
        rate: f64,
        /// L2 penalty.
        decay: f64,
        /// The value is multiplied by this first: weight decay apart from the gradient.
        keep: f64,
        /// Shares of the moments that are kept.
        betas: [f64; 2],
        /// The root of the second moment is divided by this, for its start from zero.
        correction: f64,
        /// Added to the root.
        epsilon: f64,
    },
}

impl Rule {
    /// Number of moments that the rule keeps.
    pub fn moments(&self) -> usize {
        match self {
            Self::Descent { .. } => 0,
            Self::Momentum { .. } => 1,
            Self::Adam { .. } => 2,
        }
    }
}

/// A parameter on its way: tensors `[N]` that no gradient flows through.
#[derive(Clone, Debug)]
pub struct Moving {
    /// How it moves.
    pub rule: Rule,
    /// Its value.
    pub value: Tensor<1>,
    /// The gradient of its value.
    pub gradient: Tensor<1>,
    /// As many as [`Rule::moments`] says, zeros at first.
    pub moments: Vec<Tensor<1>>,
}

/// Moves parameters: their values and moments become the next ones.
///
/// On the CPU, 32-bit tensors that nobody else holds are changed where they lie, all in one parallel pass; every other
/// device or number type takes Burn's own operations.
///
/// # Panics
/// If a parameter has not as many moments as its rule keeps, or tensors of different lengths.
pub fn update(parameters: &mut [Moving]) {
    for Moving { rule, value, gradient, moments } in parameters.iter() {
        assert!(moments.len() == rule.moments(), "update: {} moments for {rule:?}", moments.len());
        let lengths = moments.iter().chain([gradient]).all(|tensor| tensor.dims() == value.dims());
        assert!(lengths, "update: a value of {:?} and a gradient of {:?}", value.dims(), gradient.dims());
    }
    let mut ours = Vec::new();
    for parameter in parameters {
        match OnCpu::take(parameter) {
            Some(numbers) => ours.push((parameter, numbers)),
            None => step(parameter),
        }
    }
    move_all(&mut ours);
    for (parameter, OnCpu { value, moments, .. }) in ours {
        parameter.value = from_flex(value);
        parameter.moments = moments.into_iter().map(from_flex).collect();
    }
}

/// The tensors of a parameter, all of them on the CPU backend.
struct OnCpu {
    value: FlexTensor,
    gradient: Numbers,
    moments: Vec<FlexTensor>,
}

impl OnCpu {
    /// Takes value and moments out of a parameter, so that nobody else holds them; leaves it as it is if they are not
    /// all on the CPU.
    fn take(parameter: &mut Moving) -> Option<Self> {
        let gradient = Numbers::of(into_flex(parameter.gradient.clone())?);
        let served = |tensor: &Tensor<1>| into_flex(tensor.clone()).is_some();
        if !std::iter::once(&parameter.value).chain(&parameter.moments).all(served) {
            return None;
        }
        let nothing = Tensor::empty([0], &parameter.value.device());
        let value = into_flex(std::mem::replace(&mut parameter.value, nothing))?;
        let moments = parameter.moments.drain(..).filter_map(into_flex);
        Some(Self { value: arranged(value), gradient, moments: moments.map(arranged).collect() })
    }
}

/// One parallel pass over the pieces of all parameters.
fn move_all(parameters: &mut [(&mut Moving, OnCpu)]) {
    let mut jobs = Vec::new();
    for (parameter, OnCpu { value, gradient, moments }) in parameters {
        let mut numbers: [&mut [f32]; 3] = [&mut [], &mut [], &mut []];
        for (numbers, tensor) in numbers.iter_mut().zip(std::iter::once(value).chain(moments)) {
            *numbers = tensor.storage_mut();
        }
        for piece in pieces(gradient.len()) {
            let numbers = numbers.each_mut().map(|rest| {
                let count = piece.len().min(rest.len());
                rest.split_off_mut(..count).unwrap_or_default()
            });
            jobs.push(Job { rule: parameter.rule, gradient: &gradient[piece], numbers });
        }
    }
    jobs::each(jobs, move_piece);
}

/// The same by Burn's operations.
fn step(parameter: &mut Moving) {
    let Moving { rule, value, gradient, moments } = parameter;
    let penalised = |decay: f64, value: &Tensor<1>| match decay {
        0.0 => gradient.clone(),
        decay => gradient.clone().add(value.clone().mul_scalar(decay)),
    };
    match (*rule, moments.as_mut_slice()) {
        (Rule::Momentum { rate, decay, momentum, nesterov }, [first]) => {
            let gradient = penalised(decay, value);
            *first = first.clone().mul_scalar(momentum).add(gradient.clone());
            let direction = match nesterov {
                true => gradient.add(first.clone().mul_scalar(momentum)),
                false => first.clone(),
            };
            *value = value.clone().sub(direction.mul_scalar(rate));
        }
        (Rule::Adam { rate, decay, keep, betas, correction, epsilon }, [first, second]) => {
            let gradient = penalised(decay, value);
            let [b1, b2] = betas;
            *first = first.clone().mul_scalar(b1).add(gradient.clone().mul_scalar(1.0 - b1));
            *second = second.clone().mul_scalar(b2).add(gradient.square().mul_scalar(1.0 - b2));
            let root = second.clone().sqrt().div_scalar(correction).add_scalar(epsilon);
            let kept = value.clone().mul_scalar(keep);
            *value = kept.sub(first.clone().div(root).mul_scalar(rate));
        }
        (
            Rule::Descent { rate, decay }
            | Rule::Momentum { rate, decay, .. }
            | Rule::Adam { rate, decay, .. },
            _,
        ) => {
            *value = value.clone().sub(penalised(decay, value).mul_scalar(rate));
        }
    }
}

/// Euclidean norm over all numbers of tensors `[N]`, summed in double precision.
pub fn norm<'a>(tensors: impl IntoIterator<Item = &'a Tensor<1>>) -> f64 {
    let (mut ours, mut squares) = (Vec::new(), 0.0);
    for tensor in tensors {
        match into_flex(tensor.clone()) {
            Some(tensor) => ours.push(Numbers::of(tensor)),
            None => squares += tensor.clone().square().sum().into_scalar::<f64>(),
        }
    }
    let all: Vec<&[f32]> = ours.iter().flat_map(|tensor| tensor.chunks(PIECE)).collect();
    let sums: Vec<f64> = jobs::map(all.len(), |index| sum_of_squares(all[index]));
    (squares + sums.into_iter().sum::<f64>()).sqrt()
}

/// Multiplies all numbers of tensors `[N]`, where they lie if nobody else holds them.
pub fn scale<'a>(tensors: impl IntoIterator<Item = &'a mut Tensor<1>>, factor: f64) {
    for tensor in tensors {
        if into_flex(tensor.clone()).is_none() {
            *tensor = tensor.clone().mul_scalar(factor);
            continue;
        }
        let nothing = Tensor::empty([0], &tensor.device());
        if let Some(numbers) = into_flex(std::mem::replace(tensor, nothing)) {
            let mut numbers = arranged(numbers);
            let pieces = numbers.storage_mut::<f32>().chunks_mut(PIECE);
            jobs::each(pieces, |piece| multiply(piece, factor as f32));
            *tensor = from_flex(numbers);
        }
    }
}

/// A piece of a parameter.
struct Job<'a> {
    rule: Rule,
    gradient: &'a [f32],
    /// Value and moments.
    numbers: [&'a mut [f32]; 3],
}

fn move_piece(job: Job<'_>) {
    let Job { rule, gradient, numbers: [value, first, second] } = job;
    match rule {
        Rule::Descent { rate, decay } => descend(value, gradient, [rate, decay].map(|v| v as f32)),
        Rule::Momentum { rate, decay, momentum, nesterov } => {
            let numbers = [rate, decay, momentum].map(|v| v as f32);
            follow(value, first, gradient, numbers, nesterov);
        }
        Rule::Adam { rate, decay, keep, betas: [b1, b2], correction, epsilon } => {
            let numbers = [rate, decay, keep, b1, 1.0 - b1, b2, 1.0 - b2, correction, epsilon];
            adapt(value, [first, second], gradient, numbers.map(|v| v as f32));
        }
    }
}

vectorized! {
    fn descend(value: &mut [f32], gradient: &[f32], numbers: [f32; 2]) {
        let [rate, decay] = numbers;
        for (value, gradient) in value.iter_mut().zip(gradient) {
            *value -= (gradient + *value * decay) * rate;
        }
    }
}

vectorized! {
    fn follow(value: &mut [f32], first: &mut [f32], gradient: &[f32], numbers: [f32; 3], nesterov: bool) {
        let [rate, decay, momentum] = numbers;
        let ahead = if nesterov { momentum } else { 0.0 };
        for ((value, first), gradient) in value.iter_mut().zip(first).zip(gradient) {
            let gradient = gradient + *value * decay;
            *first = *first * momentum + gradient;
            let direction = if nesterov { gradient + *first * ahead } else { *first };
            *value -= direction * rate;
        }
    }
}

vectorized! {
    fn adapt(value: &mut [f32], moments: [&mut [f32]; 2], gradient: &[f32], numbers: [f32; 9]) {
        let [rate, decay, keep, b1, rest1, b2, rest2, correction, epsilon] = numbers;
        let [first, second] = moments;
        for (((value, first), second), gradient) in value.iter_mut().zip(first).zip(second).zip(gradient) {
            let gradient = gradient + *value * decay;
            *first = *first * b1 + gradient * rest1;
            *second = *second * b2 + gradient * gradient * rest2;
            let root = second.sqrt() / correction + epsilon;
            *value = *value * keep - *first / root * rate;
        }
    }
}

vectorized! {
    fn sum_of_squares(values: &[f32]) -> f64 {
        let mut sum = Lanes::new();
        sum.add([values], |[value]| value * value);
        sum.sum()
    }
}

vectorized! {
    fn multiply(values: &mut [f32], factor: f32) {
        for value in values {
            *value *= factor;
        }
    }
}

//! Activations: [`Chain`]s of one step.

use burn::tensor::Tensor;

use crate::Chain;

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident($($argument:ident),*) => $method:ident($($value:expr),*);)+) => {$(
        $(#[$doc])*
        pub fn $name<const D: usize>(x: Tensor<D>, $($argument: f64),*) -> Tensor<D> {
            Chain::of(x).$method($($value),*).run()
        }
    )+};
}

activations! {
    /// `x` where it is positive, else 0; any shape to the same.
    relu() => relu();
    /// `x` held between 0 and 6; the slope at either is 0, as of `torch.nn.ReLU6`.
    relu6() => hard_tanh(0.0, 6.0);
    /// `x` held between two numbers, see [`Chain::clamp`].
    clamp(min, max) => clamp(min, max);
    /// `x` where it is positive, else `slope x`.
    leaky_relu(slope) => leaky_relu(slope);
    /// `x` where it is positive, else `alpha (eˣ - 1)`, see [`Chain::elu`].
    elu(alpha) => elu(alpha);
    /// `1 / (1 + e⁻ˣ)`.
    sigmoid() => sigmoid();
    /// The hyperbolic tangent.
    tanh() => tanh();
    /// GELU, exact; see [`Chain::gelu`].
    gelu() => gelu();
    /// GELU in its approximation by a hyperbolic tangent, see [`Chain::gelu_tanh`].
    gelu_tanh() => gelu_tanh();
    /// `x sigmoid(x)`.
    silu() => silu();
    /// `x hard_sigmoid(x)`, see [`Chain::hard_swish`].
    hard_swish() => hard_swish();
    /// `(x + 3) / 6` held between 0 and 1.
    hard_sigmoid() => hard_sigmoid();
    /// `x tanh(softplus(x))`, see [`Chain::mish`].
    mish() => mish();
    /// `ln(1 + e^(beta x)) / beta`, see [`Chain::softplus`].
    softplus(beta) => softplus(beta);
    /// The logarithm of the sigmoid.
    log_sigmoid() => log_sigmoid();
}

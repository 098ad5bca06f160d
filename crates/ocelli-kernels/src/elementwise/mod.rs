//! Elementwise expressions in one visit to memory.

mod backend;
mod blocks;
mod function;
mod program;

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::backend::is_served;
use backend::{ChainBackend, Leaves};
use function::{Function, Operation};
use program::{Node, Operand, Program, Spread};

/// The most leaves of an expression that is evaluated at once.
const LEAVES: usize = 4;
/// The most nodes of one.
const NODES: usize = 24;

/// An elementwise expression that is recorded first and evaluated as a whole by [`run`](Self::run): in one visit to the
/// tensors that it is made of, and its gradients in another. What lies between is never in memory, nor kept for the gradients.
///
/// Operands are tensors or expressions of the same number of dimensions; an extent of 1 is stretched to that of the other
/// operand. On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes Burn's own
/// operations, one by one.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use ocelli_kernels::Chain;
///
/// let device = Device::flex();
/// let x = Tensor::<4>::ones([2, 3, 8, 8], &device);
/// let scale = Tensor::<1>::ones([3], &device);
/// let gate = Chain::of(x.clone()).mul_channels(scale).add_scalar(-1.0).sigmoid();
/// let gated = gate.mul(x).run();
/// assert_eq!(gated.max().into_scalar::<f32>(), 0.5);
/// ```
#[derive(Clone, Debug)]
#[must_use = "an expression does nothing until it is run"]
pub struct Chain<const D: usize> {
    leaves: Vec<Tensor<D>>,
    nodes: Vec<Node>,
}

impl<const D: usize> From<Tensor<D>> for Chain<D> {
    fn from(tensor: Tensor<D>) -> Self {
        Self::of(tensor)
    }
}

impl<const D: usize> Chain<D> {
    /// The tensor itself.
    pub fn of(tensor: Tensor<D>) -> Self {
        Self { leaves: vec![tensor], nodes: vec![Node::Leaf(0)] }
    }

    /// The sum with `other`.
    ///
    /// # Panics
    /// [`run`](Self::run) does, as for the other operations, if the shapes do not fit together.
    #[allow(clippy::should_implement_trait)] // `other` is more than a chain, and the methods go together
    pub fn add(self, other: impl Into<Self>) -> Self {
        self.binary(Operation::Add, other.into())
    }

    /// The difference from `other`.
    #[allow(clippy::should_implement_trait)] // as for `add`
    pub fn sub(self, other: impl Into<Self>) -> Self {
        self.binary(Operation::Sub, other.into())
    }

    /// The product with `other`.
    #[allow(clippy::should_implement_trait)] // as for `add`
    pub fn mul(self, other: impl Into<Self>) -> Self {
        self.binary(Operation::Mul, other.into())
    }

    /// The quotient by `other`.
    #[allow(clippy::should_implement_trait)] // as for `add`
    pub fn div(self, other: impl Into<Self>) -> Self {
        self.binary(Operation::Div, other.into())
    }

    /// The sum with one number a channel, `[C]` over `[B, C, ...]`.
    ///
    /// # Panics
    /// If there is no dimension of channels.
    pub fn add_channels(self, channels: Tensor<1>) -> Self {
        self.add(over_channels(channels))
    }

    /// The product with one number a channel, `[C]` over `[B, C, ...]`.
    ///
    /// # Panics
    /// If there is no dimension of channels.
    pub fn mul_channels(self, channels: Tensor<1>) -> Self {
        self.mul(over_channels(channels))
    }

    /// `x + shift`.
    pub fn add_scalar(self, shift: f64) -> Self {
        self.affine(1.0, shift)
    }

    /// `scale x`.
    pub fn mul_scalar(self, scale: f64) -> Self {
        self.affine(scale, 0.0)
    }

    /// `scale x + shift`.
    pub fn affine(self, scale: f64, shift: f64) -> Self {
        self.unary(Function::Affine { scale: scale as f32, shift: shift as f32 })
    }

    /// `x` where it is positive, else 0.
    pub fn relu(self) -> Self {
        self.unary(Function::Relu)
    }

    /// `x` held between two numbers; the slope is 1 from `min` to `max`, both included, as of `torch.clamp`.
    pub fn clamp(self, min: f64, max: f64) -> Self {
        self.unary(Function::Clamp { min: min as f32, max: max as f32 })
    }

    /// `x` held between two numbers; the slope is 1 between them and 0 at either, as of `torch.nn.Hardtanh`.
    pub fn hard_tanh(self, min: f64, max: f64) -> Self {
        self.unary(Function::HardTanh { min: min as f32, max: max as f32 })
    }

    /// `x` where it is positive, else `slope x`.
    pub fn leaky_relu(self, slope: f64) -> Self {
        self.unary(Function::LeakyRelu(slope as f32))
    }

    /// `x` where it is positive, else `alpha (eˣ - 1)` (Clevert et al., 2016, equation 15).
    pub fn elu(self, alpha: f64) -> Self {
        self.unary(Function::Elu(alpha as f32))
    }

    /// `1 / (1 + e⁻ˣ)`.
    pub fn sigmoid(self) -> Self {
        self.unary(Function::Sigmoid)
    }

    /// The hyperbolic tangent.
    pub fn tanh(self) -> Self {
        self.unary(Function::Tanh)
    }

    /// `x` times the normal distribution's share below it (Hendrycks and Gimpel, 2016, equation 1).
    pub fn gelu(self) -> Self {
        self.unary(Function::Gelu)
    }

    /// [`gelu`](Self::gelu) in its approximation by a hyperbolic tangent (ibid., section 2).
    pub fn gelu_tanh(self) -> Self {
        self.unary(Function::GeluTanh)
    }

    /// `x sigmoid(x)`.
    pub fn silu(self) -> Self {
        self.unary(Function::Silu)
    }

    /// `x` times [`hard_sigmoid`](Self::hard_sigmoid) (Howard et al., *MobileNetV3*, 2019, section 5.2).
    pub fn hard_swish(self) -> Self {
        self.unary(Function::HardSwish)
    }

    /// `(x + 3) / 6` held between 0 and 1.
    pub fn hard_sigmoid(self) -> Self {
        self.unary(Function::HardSigmoid)
    }

    /// `x tanh(softplus(x))` (Misra, 2019).
    pub fn mish(self) -> Self {
        self.unary(Function::Mish)
    }

    /// `ln(1 + e^(beta x)) / beta`; `x` itself where `beta x` passes 20, as in PyTorch.
    pub fn softplus(self, beta: f64) -> Self {
        self.unary(Function::Softplus(beta as f32))
    }

    /// The logarithm of [`sigmoid`](Self::sigmoid).
    pub fn log_sigmoid(self) -> Self {
        self.unary(Function::LogSigmoid)
    }

    /// `eˣ`.
    pub fn exp(self) -> Self {
        self.unary(Function::Exp)
    }

    /// The natural logarithm.
    pub fn ln(self) -> Self {
        self.unary(Function::Ln)
    }

    /// The square root.
    pub fn sqrt(self) -> Self {
        self.unary(Function::Sqrt)
    }

    /// The square.
    pub fn square(self) -> Self {
        self.unary(Function::Square)
    }

    /// The absolute value; its slope at 0 is 0.
    pub fn abs(self) -> Self {
        self.unary(Function::Abs)
    }

    /// `1 / x`.
    pub fn recip(self) -> Self {
        self.unary(Function::Recip)
    }

    /// `x` to a power; of negative numbers NaN unless the power is whole.
    pub fn powf(self, exponent: f64) -> Self {
        match exponent as f32 {
            1.0 => self,
            2.0 => self.square(),
            0.5 => self.sqrt(),
            -1.0 => self.recip(),
            exponent => self.unary(Function::Power(exponent)),
        }
    }

    fn unary(mut self, function: Function) -> Self {
        if self.nodes.len() == NODES {
            self = Self::of(self.run());
        }
        self.nodes.push(Node::Unary(function, self.nodes.len() - 1));
        self
    }

    fn binary(mut self, operation: Operation, mut other: Self) -> Self {
        let fits = |a: &Self, b: &Self| {
            a.leaves.len() + b.leaves.len() <= LEAVES && a.nodes.len() + b.nodes.len() < NODES
        };
        // What has grown too large is evaluated first.
        if !fits(&self, &other) {
            self = Self::of(self.run());
        }
        if !fits(&self, &other) {
            other = Self::of(other.run());
        }
        let (first_leaf, first_node) = (self.leaves.len(), self.nodes.len());
        self.leaves.extend(other.leaves);
        self.nodes.extend(other.nodes.into_iter().map(|node| match node {
            Node::Leaf(leaf) => Node::Leaf(leaf + first_leaf),
            Node::Unary(function, source) => Node::Unary(function, source + first_node),
            Node::Binary(operation, left, right) => {
                Node::Binary(operation, left + first_node, right + first_node)
            }
        }));
        self.nodes.push(Node::Binary(operation, first_node - 1, self.nodes.len() - 1));
        self
    }

    /// The value: `[...]` as the operands, extents of 1 stretched. Gradients flow to all operands that track them.
    ///
    /// # Panics
    /// If the operands' shapes do not fit together.
    pub fn run(self) -> Tensor<D> {
        let Self { mut leaves, nodes } = self;
        if nodes.len() == 1 && leaves.len() == 1 {
            return leaves.remove(0);
        }
        if !leaves.iter().all(is_served) {
            return evaluate(leaves, &nodes);
        }
        let dims = common_dims(&leaves);
        let operand = |leaf: &mut Tensor<D>| {
            let own = leaf.dims();
            let spread = (own != dims).then(|| Spread::of(&own, &dims));
            if spread == Some(None) {
                *leaf = leaf.clone().expand(dims);
            }
            Operand { dims: leaf.dims().to_vec(), spread: spread.flatten() }
        };
        let operands = leaves.iter_mut().map(operand).collect();
        let program = Arc::new(Program { nodes, operands, dims: dims.to_vec() });
        let mut leaves = leaves.into_iter().map(Tensor::into_dispatch);
        let four = (leaves.next(), leaves.next(), leaves.next(), leaves.next());
        let leaves = match four {
            (Some(a), Some(b), Some(c), Some(d)) => Leaves::Four(a, b, c, d),
            (Some(a), Some(b), Some(c), None) => Leaves::Three(a, b, c),
            (Some(a), Some(b), ..) => Leaves::Two(a, b),
            (Some(a), ..) => Leaves::One(a),
            _ => unreachable!("an expression has a leaf"),
        };
        Tensor::from_dispatch(Dispatch::evaluate(leaves, program))
    }
}

/// `[C]` as `[1, C, 1, ...]`.
fn over_channels<const D: usize>(channels: Tensor<1>) -> Tensor<D> {
    assert!(D >= 2, "a number a channel: operands [B, C, ...] are needed, found {D} dimensions");
    let mut dims = [1; D];
    dims[1] = channels.dims()[0];
    channels.reshape(dims)
}

/// The shape that all operands are stretched to.
fn common_dims<const D: usize>(leaves: &[Tensor<D>]) -> [usize; D] {
    let mut dims = [1; D];
    for leaf in leaves {
        for (common, own) in dims.iter_mut().zip(leaf.dims()) {
            assert!(
                *common == own || *common == 1 || own == 1,
                "operands do not fit together: {:?}",
                leaves.iter().map(Tensor::dims).collect::<Vec<_>>()
            );
            if *common == 1 {
                *common = own;
            }
        }
    }
    dims
}

/// The value by the framework's own operations.
fn evaluate<const D: usize>(leaves: Vec<Tensor<D>>, nodes: &[Node]) -> Tensor<D> {
    let mut values: Vec<Tensor<D>> = Vec::with_capacity(nodes.len());
    for node in nodes {
        values.push(match *node {
            Node::Leaf(leaf) => leaves[leaf].clone(),
            Node::Unary(function, source) => function.framework(values[source].clone()),
            Node::Binary(operation, left, right) => {
                operation.framework(values[left].clone(), values[right].clone())
            }
        });
    }
    values.remove(nodes.len() - 1)
}

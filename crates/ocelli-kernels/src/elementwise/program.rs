//! An elementwise expression as a list of steps, and what its gradient needs.

use super::function::{Function, Operation};

/// How the numbers of an operand lie over those of the result: each stands for `inner` neighbours, and after `count`
/// numbers they begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) inner: usize,
}

impl Spread {
    /// How an operand of these dims lies over a result of those; `None` if its extents of 1 lie between others, so that
    /// it must be written out.
    pub(crate) fn of(dims: &[usize], result: &[usize]) -> Option<Self> {
        let stretched = |axis: &usize| dims[*axis] != result[*axis];
        let kept: Vec<usize> =
            (0..dims.len()).filter(|axis| !stretched(axis) && result[*axis] != 1).collect();
        let (Some(&first), Some(&last)) = (kept.first(), kept.last()) else {
            return Some(Self { count: 1, inner: result.iter().product::<usize>().max(1) });
        };
        let whole = (first..=last).all(|axis| !stretched(&axis));
        whole.then(|| Self {
            count: dims[first..=last].iter().product(),
            inner: result[last + 1..].iter().product(),
        })
    }
}

/// A step; what it takes are earlier nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Node {
    /// The leaf of this number.
    Leaf(usize),
    Unary(Function, usize),
    Binary(Operation, usize, usize),
}

/// What a leaf of an expression is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) dims: Vec<usize>,
    /// How it lies over the result; `None` if it has the result's shape.
    pub(crate) spread: Option<Spread>,
}

/// An expression: a tree, whose last node is the result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Program {
    pub(crate) nodes: Vec<Node>,
    pub(crate) operands: Vec<Operand>,
    /// Of the result.
    pub(crate) dims: Vec<usize>,
}

/// What the gradient needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Leaves whose gradient is wanted.
    pub(crate) wanted: Vec<bool>,
    /// Nodes that lead to such a leaf.
    pub(crate) leads: Vec<bool>,
    /// Nodes whose values are used, be they kept or computed again.
    pub(crate) used: Vec<bool>,
    /// Whether the result is kept.
    pub(crate) keeps_output: bool,
}

impl Plan {
    /// Whether the leaf is kept.
    pub(crate) fn keeps_leaf(&self, program: &Program, leaf: usize) -> bool {
        program.nodes.iter().zip(&self.used).any(|(node, used)| *used && *node == Node::Leaf(leaf))
    }
}

impl Program {
    /// Numbers of the result.
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// The leftmost leaf below each node.
    pub(crate) fn leftmost(&self) -> Vec<usize> {
        let mut leftmost: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            leftmost.push(match *node {
                Node::Leaf(leaf) => leaf,
                Node::Unary(_, source) | Node::Binary(_, source, _) => leftmost[source],
            });
        }
        leftmost
    }

    /// What the gradients of the wanted leaves need. Values in the midst are computed again from the leaves; the result
    /// is kept where that spares it.
    pub(crate) fn plan(&self, wanted: &[bool]) -> Plan {
        let (count, root) = (self.nodes.len(), self.nodes.len() - 1);
        let mut leads = vec![false; count];
        let mut used = vec![false; count];
        for (index, node) in self.nodes.iter().enumerate() {
            leads[index] = match *node {
                Node::Leaf(leaf) => wanted[leaf],
                Node::Unary(_, source) => leads[source],
                Node::Binary(_, left, right) => leads[left] || leads[right],
            };
            match *node {
                Node::Leaf(_) => {}
                Node::Unary(function, source) => {
                    used[source] |= leads[source] && function.uses().input;
                    used[index] |= leads[source] && function.uses().output;
                }
                Node::Binary(operation, left, right) => {
                    let uses = operation.uses([leads[left], leads[right]]);
                    for (node, uses) in [left, right, index].into_iter().zip(uses) {
                        used[node] |= uses;
                    }
                }
            }
        }
        // If nothing in the midst is used, the result need not be computed again.
        let in_the_midst =
            |index: usize| used[index] && index != root && !matches!(self.nodes[index], Node::Leaf(_));
        let keeps_output = used[root] && !(0..count).any(in_the_midst);
        if !keeps_output {
            for index in (0..count).rev().filter(|&index| index <= root) {
                if used[index] {
                    match self.nodes[index] {
                        Node::Leaf(_) => {}
                        Node::Unary(_, source) => used[source] = true,
                        Node::Binary(_, left, right) => {
                            used[left] = true;
                            used[right] = true;
                        }
                    }
                }
            }
        }
        Plan { wanted: wanted.to_vec(), leads, used, keeps_output }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_lie_over_the_result() {
        let spread = |dims: &[usize]| Spread::of(dims, &[2, 3, 4, 5]);
        assert_eq!(spread(&[1, 1, 1, 1]), Some(Spread { count: 1, inner: 120 }));
        assert_eq!(spread(&[1, 3, 1, 1]), Some(Spread { count: 3, inner: 20 }));
        assert_eq!(spread(&[2, 3, 1, 1]), Some(Spread { count: 6, inner: 20 }));
        assert_eq!(spread(&[1, 1, 4, 5]), Some(Spread { count: 20, inner: 1 }));
        assert_eq!(spread(&[2, 1, 4, 5]), None);
        assert_eq!(Spread::of(&[2, 1, 4], &[2, 1, 4]), Some(Spread { count: 8, inner: 1 }));
        assert_eq!(Spread::of(&[1, 7], &[0, 7]), Some(Spread { count: 7, inner: 1 }));
    }

    fn program(nodes: Vec<Node>, leaves: usize) -> Program {
        let operand = Operand { dims: vec![2], spread: None };
        Program { nodes, operands: vec![operand; leaves], dims: vec![2] }
    }

    #[test]
    fn as_little_as_possible_is_kept() {
        // sigmoid(a b + c)
        let nodes = vec![
            Node::Leaf(0),
            Node::Leaf(1),
            Node::Binary(Operation::Mul, 0, 1),
            Node::Leaf(2),
            Node::Binary(Operation::Add, 2, 3),
            Node::Unary(Function::Sigmoid, 4),
        ];
        let expression = program(nodes, 3);
        let plan = expression.plan(&[true; 3]);
        assert!(plan.keeps_output);
        assert_eq!([0, 1, 2].map(|leaf| plan.keeps_leaf(&expression, leaf)), [true, true, false]);
        let plan = expression.plan(&[false, true, true]);
        assert_eq!([0, 1, 2].map(|leaf| plan.keeps_leaf(&expression, leaf)), [true, false, false]);
        let plan = expression.plan(&[false, false, true]);
        assert_eq!([0, 1, 2].map(|leaf| plan.keeps_leaf(&expression, leaf)), [false; 3]);
        assert_eq!(expression.leftmost(), [0, 1, 0, 2, 0, 0]);

        // Twice the sigmoid: its value in the midst is computed again, and all with it.
        let nodes = vec![
            Node::Leaf(0),
            Node::Unary(Function::Sigmoid, 0),
            Node::Unary(Function::Square, 1),
            Node::Unary(Function::Tanh, 2),
        ];
        let expression = program(nodes, 1);
        let plan = expression.plan(&[true]);
        assert!(!plan.keeps_output && plan.keeps_leaf(&expression, 0));
        assert_eq!(plan.used, [true; 4]);
    }
}

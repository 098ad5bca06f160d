//! What the columns of a file can be to a set of vectors.

use super::footer::{Element, Logical, Physical, Repetition};

/// Groups in groups are followed so deep.
const MOST_DEPTH: usize = 32;

/// What a top-level column can be to a set of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Lists of floats.
    Lists,
    /// Floats.
    Float,
    /// Whole numbers.
    Integer,
    /// Text.
    Text,
    /// Bytes of which it is not said that they are text.
    Bytes,
    /// Anything else.
    Other,
}

/// A column of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) physical: Physical,
    pub(super) logical: Logical,
    /// The definition level of a value that is not null.
    pub(super) definition: u32,
    /// The definition level from which on a list has an element, null or not.
    pub(super) element: u32,
    /// The repetition level of a list's elements but the first; 0 outside of lists.
    pub(super) repetition: u32,
}

/// A top-level column.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Its first leaf's place among all leaves.
    pub(super) at: usize,
    /// Its first leaf.
    pub(super) leaf: Option<Leaf>,
}

/// The levels above a column.
#[derive(Clone, Copy, Default)]
struct Levels {
    definition: u32,
    element: u32,
    repetition: u32,
}

impl Levels {
    fn below(self, repetition: Repetition) -> Self {
        match repetition {
            Repetition::Required => self,
            Repetition::Optional => Self { definition: self.definition + 1, ..self },
            Repetition::Repeated => Self {
                definition: self.definition + 1,
                element: self.definition + 1,
                repetition: self.repetition + 1,
            },
        }
    }
}

/// The top-level columns of a schema, and the number of its leaves.
///
/// # Errors
/// When the numbers of columns in groups do not add up.
pub(super) fn fields(schema: &[Element]) -> Result<(Vec<Field>, usize), String> {
    let (root, mut rest) = schema.split_first().ok_or("the schema is empty")?;
    let (mut fields, mut leaves) = (Vec::new(), Vec::new());
    for _ in 0..root.children {
        let (at, before) = (leaves.len(), rest);
        walk(&mut rest, Levels::default(), 0, &mut leaves)?;
        // At least the column itself has been walked over.
        let elements = &before[..before.len() - rest.len()];
        let kind = kind(elements, &leaves[at..]);
        let name = elements.first().map(|e| e.name.clone()).unwrap_or_default();
        fields.push(Field { name, kind, at, leaf: leaves.get(at).copied() });
    }
    if !rest.is_empty() {
        return Err("the schema has columns outside of its groups".into());
    }
    Ok((fields, leaves.len()))
}

/// Walks over a column and all below it.
fn walk(rest: &mut &[Element], above: Levels, depth: usize, leaves: &mut Vec<Leaf>) -> Result<(), String> {
    let (element, after) = rest.split_first().ok_or("the schema is cut short")?;
    *rest = after;
    if depth == MOST_DEPTH {
        return Err(format!("column `{}` is nested too deep", element.name));
    }
    let levels = above.below(element.repetition);
    if let Some(physical) = element.physical {
        let Levels { definition, element: first, repetition } = levels;
        leaves.push(Leaf { physical, logical: element.logical, definition, element: first, repetition });
        return Ok(());
    }
    (0..element.children).try_for_each(|_| walk(rest, levels, depth + 1, leaves))
}

/// What a column with all below it, and its leaves, can be.
fn kind(elements: &[Element], leaves: &[Leaf]) -> Kind {
    let ([top, ..], [leaf]) = (elements, leaves) else { return Kind::Other };
    let half = (leaf.physical, leaf.logical) == (Physical::Fixed(2), Logical::Half);
    let float = half || matches!(leaf.physical, Physical::Float | Physical::Double);
    if leaf.repetition > 0 {
        // list { element }, as it should be; without the group between, as older writers have it; repeated alone.
        let list = match elements {
            [top] => top.repetition == Repetition::Repeated,
            [top, middle, ..] => {
                let once = top.repetition != Repetition::Repeated;
                top.logical == Logical::List && once && middle.repetition == Repetition::Repeated
            }
            [] => false,
        };
        let flat = elements.len() <= 3 && leaf.repetition == 1;
        return if float && list && flat { Kind::Lists } else { Kind::Other };
    }
    if top.physical.is_none() {
        return Kind::Other;
    }
    match (leaf.physical, leaf.logical) {
        _ if float => Kind::Float,
        (_, Logical::Decimal) => Kind::Other,
        (Physical::Boolean | Physical::Int32 | Physical::Int64, _) => Kind::Integer,
        (Physical::Bytes, Logical::Text) => Kind::Text,
        (Physical::Bytes, Logical::Plain) => Kind::Bytes,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(
        physical: Option<Physical>,
        repetition: Repetition,
        logical: Logical,
        children: u64,
    ) -> Element {
        Element { name: "x".into(), physical, repetition, logical, children }
    }

    fn group(repetition: Repetition, logical: Logical, children: u64) -> Element {
        element(None, repetition, logical, children)
    }

    fn float(repetition: Repetition) -> Element {
        element(Some(Physical::Float), repetition, Logical::Plain, 0)
    }

    /// Kind and levels of a schema's only column.
    fn only(elements: Vec<Element>) -> (Kind, Option<(u32, u32, u32)>) {
        let root = group(Repetition::Required, Logical::Plain, 1);
        let schema: Vec<Element> = std::iter::once(root).chain(elements).collect();
        let (fields, _) = fields(&schema).unwrap();
        (fields[0].kind, fields[0].leaf.map(|l| (l.definition, l.element, l.repetition)))
    }

    #[test]
    fn lists_of_every_layout_are_known() {
        use Repetition::{Optional, Repeated, Required};
        let list = |repetition| group(repetition, Logical::List, 1);
        let plain = |repetition, children| group(repetition, Logical::Plain, children);
        for (elements, wanted) in [
            (vec![list(Optional), plain(Repeated, 1), float(Optional)], (Kind::Lists, Some((3, 2, 1)))),
            (vec![list(Required), plain(Repeated, 1), float(Required)], (Kind::Lists, Some((1, 1, 1)))),
            (vec![list(Optional), float(Repeated)], (Kind::Lists, Some((2, 2, 1)))),
            (vec![float(Repeated)], (Kind::Lists, Some((1, 1, 1)))),
            (vec![float(Optional)], (Kind::Float, Some((1, 0, 0)))),
            // Lists of lists, of structs, in a struct, a struct of one float, one of nothing.
            (
                vec![list(Optional), plain(Repeated, 1), list(Optional), plain(Repeated, 1), float(Optional)],
                (Kind::Other, Some((5, 4, 2))),
            ),
            (
                vec![list(Optional), plain(Repeated, 2), float(Optional), float(Optional)],
                (Kind::Other, Some((3, 2, 1))),
            ),
            (vec![plain(Optional, 1), float(Repeated)], (Kind::Other, Some((2, 2, 1)))),
            (vec![plain(Optional, 1), float(Optional)], (Kind::Other, Some((2, 0, 0)))),
            (vec![plain(Optional, 0)], (Kind::Other, None)),
        ] {
            assert_eq!(only(elements), wanted);
        }
    }

    #[test]
    fn numbers_that_do_not_add_up_are_errors() {
        let plain = |children| group(Repetition::Required, Logical::Plain, children);
        let deep: Vec<Element> = (0..1000).map(|_| plain(1)).collect();
        for (schema, words) in [
            (vec![], "empty"),
            (vec![plain(u64::MAX)], "cut short"),
            (vec![plain(1), plain(2), float(Repetition::Required)], "cut short"),
            (vec![plain(0), float(Repetition::Required)], "outside of its groups"),
            (deep, "too deep"),
        ] {
            assert!(fields(&schema).unwrap_err().contains(words), "{words}");
        }
    }
}

//! Codebook and partitions of an index.

use super::settings::PROJECTED;
use super::wire::{Result, each};

/// Reads `ah_codebook.pb`: the length and codewords `[K, length]` of each block.
pub(super) fn codebook(message: &[u8]) -> Result<Vec<(usize, Vec<f32>)>> {
    let mut blocks = Vec::new();
    each(message, |number, value| {
        match number {
            1 => {
                let block = block(value.bytes()?).map_err(|e| format!("block {}: {e}", blocks.len()))?;
                blocks.push(block);
            }
            2 if value.count()? != 0 => {
                return Err("its codes are not plain product codes, which is not supported".to_owned());
            }
            3 => return Err(PROJECTED.to_owned()),
            _ => (),
        }
        Ok(())
    })?;
    match blocks.is_empty() {
        true => Err("there are no codewords".to_owned()),
        false => Ok(blocks),
    }
}

fn block(message: &[u8]) -> Result<(usize, Vec<f32>)> {
    let (mut length, mut words) = (0, Vec::new());
    each(message, |number, value| {
        if number != 1 {
            return Ok(());
        }
        let before = words.len();
        each(value.bytes()?, |number, value| match number {
            4 => value.floats_into(&mut words),
            5 | 6 | 13 | 30 => Err("the codewords are no dense vectors of single precision".to_owned()),
            _ => Ok(()),
        })?;
        let found = words.len() - before;
        if before == 0 {
            length = found;
        }
        match found == length && found > 0 {
            true => Ok(()),
            false => Err(format!("a codeword has {found} values, the first one {length}")),
        }
    })?;
    if let Some(value) = words.iter().find(|v| !v.is_finite()) {
        return Err(format!("a codeword holds {value}"));
    }
    match words.len().checked_div(length).unwrap_or(0) {
        1..=256 => Ok((length, words)),
        count => Err(format!("there are {count} codewords; 1 to 256 are possible")),
    }
}

/// Reads `serialized_partitioner.pb`: the centres `[K, dim]` in the order of their numbers, and the number.
pub(super) fn centres(message: &[u8], dim: usize) -> Result<(usize, Vec<f64>)> {
    let (mut claimed, mut tree) = (None, None);
    each(message, |number, value| {
        match number {
            1 => claimed = Some(value.count()?),
            2 => tree = Some(value.bytes()?),
            3 if value.flag()? => return Err(PROJECTED.to_owned()),
            4 => return Err("it is divided by another tree than one of centres".to_owned()),
            5 => return Err(PROJECTED.to_owned()),
            _ => (),
        }
        Ok(())
    })?;
    let mut root = Root::default();
    // The partitioner holds the tree as its field 1, that its root as its field 1.
    each(tree.ok_or("there is no tree")?, |number, value| match number {
        1 => each(value.bytes()?, |number, value| match number {
            1 => root.read(value.bytes()?, dim),
            _ => Ok(()),
        }),
        _ => Ok(()),
    })?;
    let count = root.leaves.len();
    if claimed.is_some_and(|claimed| claimed != count) {
        return Err(format!("{count} partitions are there, {} are claimed", claimed.unwrap_or(0)));
    }
    Ok((count, root.in_order(dim)?))
}

/// The root of a tree of one level.
#[derive(Default)]
struct Root {
    /// In the order of the file.
    centres: Vec<f64>,
    /// The number of each leaf, in the same order.
    leaves: Vec<i64>,
}

impl Root {
    fn read(&mut self, message: &[u8], dim: usize) -> Result<()> {
        each(message, |number, value| {
            match number {
                1 => self.read_centre(value.bytes()?, dim)?,
                3 => {
                    let mut leaf = -1;
                    each(value.bytes()?, |number, value| {
                        match number {
                            1 | 3 => {
                                return Err(
                                    "the tree has more than one level, which is not supported".to_owned()
                                );
                            }
                            5 => leaf = value.integer()?,
                            _ => (),
                        }
                        Ok(())
                    })?;
                    self.leaves.push(leaf);
                }
                _ => (),
            }
            Ok(())
        })
    }

    fn read_centre(&mut self, message: &[u8], dim: usize) -> Result<()> {
        let before = self.centres.len();
        let mut single = Vec::new();
        each(message, |number, value| match number {
            1 => value.doubles_into(&mut self.centres),
            2 => value.floats_into(&mut single),
            _ => Ok(()),
        })?;
        self.centres.extend(single.into_iter().map(f64::from));
        let centre = &self.centres[before..];
        if centre.len() != dim {
            return Err(format!("a centre has {} dimensions, the vectors have {dim}", centre.len()));
        }
        match centre.iter().find(|v| !v.is_finite()) {
            Some(value) => Err(format!("a centre holds {value}")),
            None => Ok(()),
        }
    }

    /// The centres in the order of their leaves' numbers, each of which must be there once.
    fn in_order(self, dim: usize) -> Result<Vec<f64>> {
        let count = self.leaves.len();
        if count == 0 || self.centres.len() != count * dim {
            return Err(format!("{} centres for {count} leaves", self.centres.len() / dim.max(1)));
        }
        let mut ordered = vec![f64::NAN; self.centres.len()];
        for (centre, leaf) in self.centres.chunks_exact(dim).zip(&self.leaves) {
            let place = usize::try_from(*leaf).ok().filter(|leaf| *leaf < count);
            let place = place.map(|leaf| &mut ordered[leaf * dim..(leaf + 1) * dim]);
            match place.filter(|place| place[0].is_nan()) {
                Some(place) => place.copy_from_slice(centre),
                None => {
                    return Err(format!("leaf {leaf} is there twice, or beyond the {count} that are there"));
                }
            }
        }
        Ok(ordered)
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Value;
    use super::super::wire::tests::message;
    use super::*;

    fn packed64(values: &[f64]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    /// A partitioner whose root has these centres, already messages, and leaves with these numbers.
    fn partitioner(centres: &[Vec<u8>], leaves: &[i64]) -> Vec<u8> {
        let leaves: Vec<Vec<u8>> =
            leaves.iter().map(|leaf| message(&[(5, Value::Varint(leaf.cast_unsigned()))])).collect();
        let centres = centres.iter().map(|centre| (1, Value::Bytes(centre)));
        let root: Vec<_> = centres.chain(leaves.iter().map(|leaf| (3, Value::Bytes(leaf)))).collect();
        let tree = message(&[(1, Value::Bytes(&message(&root)))]);
        message(&[
            (1, Value::Varint(leaves.len() as u64)),
            (2, Value::Bytes(&message(&[(1, Value::Bytes(&tree))]))),
        ])
    }

    fn double(values: &[f64]) -> Vec<u8> {
        message(&[(1, Value::Bytes(&packed64(values)))])
    }

    #[test]
    fn centres_are_put_into_the_order_of_their_leaves() {
        let single: Vec<u8> = [5.0f32, 6.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let one_by_one =
            message(&[(1, Value::Fixed64(3f64.to_le_bytes())), (1, Value::Fixed64(4f64.to_le_bytes()))]);
        let file = partitioner(
            &[message(&[(2, Value::Bytes(&single))]), double(&[1.0, 2.0]), one_by_one],
            &[2, 0, 1],
        );
        assert_eq!(centres(&file, 2).unwrap(), (3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    }

    #[test]
    fn leaves_and_centres_must_belong_together() {
        let two = [double(&[1.0]), double(&[2.0])];
        let refused = |file: Vec<u8>| centres(&file, 1).unwrap_err();
        assert!(refused(partitioner(&two, &[0, 0])).contains("leaf 0 is there twice"));
        assert!(refused(partitioner(&two, &[0, 2])).contains("leaf 2"));
        assert!(refused(partitioner(&two, &[0, -1])).contains("leaf -1"));
        assert!(refused(partitioner(&two, &[0])).contains("2 centres for 1 leaves"));
        assert!(
            refused(partitioner(&[double(&[1.0, 2.0])], &[0])).contains("2 dimensions, the vectors have 1")
        );
        assert!(refused(partitioner(&[double(&[f64::INFINITY])], &[0])).contains("holds inf"));
        let deeper = message(&[(1, Value::Bytes(&double(&[1.0])))]);
        let root = message(&[(1, Value::Bytes(&double(&[1.0]))), (3, Value::Bytes(&deeper))]);
        let tree = message(&[(1, Value::Bytes(&message(&[(1, Value::Bytes(&root))])))]);
        assert!(refused(message(&[(2, Value::Bytes(&tree))])).contains("more than one level"));
        let claimed = [partitioner(&two, &[0, 1]), message(&[(1, Value::Varint(3))])].concat();
        assert!(refused(claimed).contains("2 partitions are there, 3 are claimed"));
    }

    #[test]
    fn codewords_of_a_block_are_alike() {
        let word = |count: usize| message(&[(4, Value::Bytes(&vec![0; 4 * count]))]);
        let file = |words: &[Vec<u8>]| {
            let block: Vec<_> = words.iter().map(|word| (1, Value::Bytes(word))).collect();
            message(&[(1, Value::Bytes(&message(&block)))])
        };
        assert_eq!(codebook(&file(&[word(2), word(2)])).unwrap(), [(2, vec![0.0; 4])]);
        let refused = |words: &[Vec<u8>]| codebook(&file(words)).unwrap_err();
        assert_eq!(refused(&[word(2), word(3)]), "block 0: a codeword has 3 values, the first one 2");
        assert!(refused(&[word(0)]).contains("has 0 values"));
        assert!(refused(&vec![word(1); 257]).contains("257 codewords; 1 to 256"));
        assert!(refused(&[message(&[(6, Value::Varint(1))])]).contains("no dense vectors"));
    }
}

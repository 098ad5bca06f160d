//! What an index holds, to be handed to other programs.

use super::Index;

/// Codes of vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorCodes {
    /// The partition of each vector whose centre its code adds to; the first of two.
    pub partitions: Vec<u32>,
    /// Blocks in a code.
    pub blocks: usize,
    /// Bits of a codeword's number: 4, or 8 in indexes taken over that have as many and where every element has a byte.
    pub bits: u32,
    /// `[N, blocks]`, a codeword's number a byte.
    pub words: Vec<u8>,
}

impl VectorCodes {
    /// Two blocks a byte, the first in the lower half: `[N, ceil(blocks / 2)]`; of 8 bits, a block a byte.
    pub fn packed(&self) -> Vec<u8> {
        if self.bits == 8 {
            return self.words.clone();
        }
        let pack = |pair: &[u8]| pair[0] | pair.get(1).copied().unwrap_or(0) << 4;
        self.words.chunks_exact(self.blocks).flat_map(|words| words.chunks(2).map(pack)).collect()
    }
}

impl Index {
    /// The ids of all vectors that are not deleted, in the order of [`Index::vectors`].
    pub fn ids(&self) -> Vec<u64> {
        let ids = |segment: &super::segment::Segment| {
            let alive = (0..segment.ids.count()).filter(|row| !segment.deleted.contains(*row as u32));
            alive.map(|row| segment.ids.get(row)).collect::<Vec<u64>>()
        };
        self.segments.iter().flat_map(ids).collect()
    }

    /// The codes of all vectors that are not deleted, in the order of [`Index::vectors`].
    pub fn codes(&self) -> VectorCodes {
        let layout = self.shared.books.layout();
        let blocks = self.shared.books.blocks();
        let bits = if self.coding() == "pq4" { 4 } else { 8 };
        let mut all = VectorCodes { partitions: Vec::new(), blocks, bits, words: Vec::new() };
        for segment in &self.segments {
            let rows = segment.ids.count();
            let mut partitions = vec![u32::MAX; rows];
            let mut words = vec![0; rows * blocks];
            for partition in 0..self.partitions() {
                let points = segment.points(&self.shared, partition);
                for point in 0..points.count {
                    let row = segment.row_at(points.first - segment.base + point as u32) as usize;
                    if partitions[row] == u32::MAX {
                        partitions[row] = partition as u32;
                        layout.get(points.codes, point, &mut words[row * blocks..(row + 1) * blocks]);
                    }
                }
            }
            for row in (0..rows).filter(|row| !segment.deleted.contains(*row as u32)) {
                all.partitions.push(partitions[row]);
                all.words.extend_from_slice(&words[row * blocks..(row + 1) * blocks]);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BuildConfig, Index, Rows, Spill};

    fn rows(count: usize) -> Vec<f32> {
        (0..count * 6).map(|i| ((i * 37 % 101) as f32 * 0.7).sin()).collect()
    }

    #[test]
    fn codes_and_ids_follow_the_vectors() {
        let data = rows(90);
        let config =
            BuildConfig { partitions: Some(4), spill: Some(Spill::default()), ..BuildConfig::default() };
        let ids: Vec<u64> = (0..80).map(|i| 500 - i).collect();
        let first = Rows::new("rows", &data[..480], 6).unwrap();
        let mut index = Index::build(first, Some(&ids), &config).unwrap();
        index.add(Rows::new("rows", &data[480..], 6).unwrap(), &(0..10).collect::<Vec<u64>>()).unwrap();
        index.delete(&[500, 3]).unwrap();
        let (vectors, of_vectors) = index.vectors().unwrap();
        let codes = index.codes();
        assert_eq!(index.ids(), of_vectors);
        assert_eq!((codes.blocks, codes.words.len(), codes.partitions.len()), (3, 88 * 3, 88));
        assert!(codes.partitions.iter().all(|partition| *partition < 4));
        assert!(codes.words.iter().all(|word| *word < 16));
        assert_eq!(codes.packed().len(), 88 * 2);
        assert_eq!(codes.packed()[0], codes.words[0] | codes.words[1] << 4);
        // Equal vectors have equal codes, whichever segment they lie in.
        let again = Index::build(Rows::new("rows", &vectors, 6).unwrap(), None, &config).unwrap();
        assert_eq!(again.codes().words.len(), codes.words.len());
        let (before, order) = (index.codes(), index.ids());
        index.compact();
        let after = index.codes();
        for (at, id) in index.ids().iter().enumerate() {
            let place = order.iter().position(|other| other == id).unwrap();
            assert_eq!(after.words[at * 3..][..3], before.words[place * 3..][..3], "id {id}");
        }
    }
}

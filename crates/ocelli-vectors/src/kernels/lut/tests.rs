use proptest::prelude::*;

use super::*;

/// Codes, a table and scores by the definition of section 3.6, written without any packing.
#[derive(Debug)]
struct Drawn {
    blocks: usize,
    codes: Vec<u8>,
    rows: Vec<[i8; WORDS]>,
    bias: Vec<f32>,
}

impl Drawn {
    fn layout(&self) -> Layout {
        Layout::new(self.blocks)
    }

    fn table(&self) -> Vec<i8> {
        let mut table: Vec<i8> = self.rows.concat();
        table.resize(self.layout().table_bytes(), 0);
        table
    }

    fn sum(&self, point: usize) -> i32 {
        let codes = &self.codes[point * self.blocks..][..self.blocks];
        codes.iter().zip(&self.rows).map(|(&code, row)| i32::from(row[usize::from(code)])).sum()
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    (1usize..40, 0usize..150).prop_flat_map(|(blocks, count)| {
        let codes = prop::collection::vec(0u8..16, blocks * count);
        let rows = prop::collection::vec(prop::array::uniform16(-127i8..=127), blocks);
        let bias = prop::collection::vec(-9.0f32..9.0, count);
        (codes, rows, bias).prop_map(move |(codes, rows, bias)| Drawn { blocks, codes, rows, bias })
    })
}

fn scanned(
    kernel: Kernel,
    points: Points<'_>,
    lookup: Lookup<'_>,
    capacity: usize,
    four: bool,
) -> Vec<(u32, f32)> {
    let mut found = Vec::new();
    let mut hits: Vec<Hits> = (0..4).map(|_| Hits::with_capacity(capacity)).collect();
    let (mut unit, end) = (0, points.count.div_ceil(UNIT));
    while unit < end {
        let next = if four {
            let [a, b, c, d] = hits.get_disjoint_mut([0, 1, 2, 3]).unwrap();
            kernel.scan_four(points, unit..end, &[lookup; 4], [a, b, c, d])
        } else {
            kernel.scan(points, unit..end, lookup, &mut hits[0])
        };
        assert!(next > unit, "some of {end} units must fit");
        unit = next;
        if four {
            assert_eq!(hits[0].positions[..hits[0].len], hits[3].positions[..hits[3].len]);
        }
        let len = hits[0].len;
        found.extend(hits[0].positions[..len].iter().copied().zip(hits[0].scores[..len].iter().copied()));
        hits.iter_mut().for_each(|hits| hits.len = 0);
    }
    found
}

proptest! {
    #[test]
    fn every_kernel_equals_the_definition(
        drawn in drawn(), scale in 0.01f32..2.0, base in -5.0f32..5.0, threshold in -400.0f32..400.0,
        capacity in 64usize..200, biased: bool,
    ) {
        let layout = drawn.layout();
        let (codes, table) = (layout.pack(&drawn.codes, drawn.blocks), drawn.table());
        let count = drawn.codes.len() / drawn.blocks;
        let bias = biased.then_some(drawn.bias.as_slice());
        let points = Points { layout, codes: &codes, count, bias, first: 7 };
        let lookup = Lookup { table: &table, scale, base, threshold };
        let score = |i: usize| (drawn.sum(i) as f32).mul_add(scale, base) + bias.map_or(0.0, |bias| bias[i]);
        let expected: Vec<(u32, f32)> = (0..count)
            .map(|i| (7 + i as u32, score(i)))
            .filter(|(_, score)| *score >= threshold)
            .collect();
        for kernel in Kernel::available() {
            prop_assert_eq!(&scanned(kernel, points, lookup, capacity, false), &expected, "{:?}", kernel);
            prop_assert_eq!(&scanned(kernel, points, lookup, capacity, true), &expected, "{:?}", kernel);
        }
    }

    #[test]
    fn packing_is_undone(drawn in drawn()) {
        let layout = drawn.layout();
        let packed = layout.pack(&drawn.codes, drawn.blocks);
        let mut codes = vec![0; drawn.blocks];
        for (point, expected) in drawn.codes.chunks_exact(drawn.blocks).enumerate() {
            layout.get(&packed, point, &mut codes);
            prop_assert_eq!(&codes, expected);
        }
    }
}

proptest! {
    #[test]
    fn elements_are_summed_alike_by_every_kernel(
        elements in 1usize..70, count in 0usize..150, seed in prop::collection::vec(any::<u8>(), 70 * 151),
        scale in 0.01f32..2.0, threshold in -4e5f32..4e5, capacity in 64usize..200, biased: bool,
    ) {
        let layout = Layout::of_elements(elements);
        let (query, codes) = seed[..elements * (count + 1)].split_at(elements);
        let query: Vec<i8> = query.iter().map(|byte| (*byte as i8).max(-127)).collect();
        let mut table = query.clone();
        table.resize(layout.table_bytes(), 0);
        let packed = layout.pack(codes, elements);
        let bias: Vec<f32> = (0..count).map(|i| (i * 7 % 5) as f32).collect();
        let bias = biased.then_some(bias.as_slice());
        let points = Points { layout, codes: &packed, count, bias, first: 3 };
        let lookup = Lookup { table: &table, scale, base: 0.5, threshold };
        let score = |i: usize| {
            let own = &codes[i * elements..(i + 1) * elements];
            let sum: i32 = own.iter().zip(&query).map(|(c, q)| i32::from(*c) * i32::from(*q)).sum();
            (sum as f32).mul_add(scale, 0.5) + bias.map_or(0.0, |bias| bias[i])
        };
        let expected: Vec<(u32, f32)> = (0..count)
            .map(|i| (3 + i as u32, score(i)))
            .filter(|(_, score)| *score >= threshold)
            .collect();
        for kernel in Kernel::available() {
            prop_assert_eq!(&scanned(kernel, points, lookup, capacity, false), &expected, "{:?}", kernel);
            prop_assert_eq!(&scanned(kernel, points, lookup, capacity, true), &expected, "{:?}", kernel);
        }
        let mut own = vec![0; elements];
        for (point, expected) in codes.chunks_exact(elements).enumerate() {
            layout.get(&packed, point, &mut own);
            prop_assert_eq!(&own, expected);
        }
    }
}

#[test]
fn the_largest_products_fit() {
    let elements = MOST_ELEMENTS;
    let layout = Layout::of_elements(elements);
    let codes = layout.pack(&vec![255; elements], elements);
    let points = Points { layout, codes: &codes, count: 1, bias: None, first: 0 };
    for entry in [127i8, -127] {
        let table = vec![entry; layout.table_bytes()];
        let lookup = Lookup { table: &table, scale: 1.0, base: 0.0, threshold: f32::NEG_INFINITY };
        let expected = f32::from(entry) * 255.0 * elements as f32;
        for kernel in Kernel::available() {
            assert_eq!(scanned(kernel, points, lookup, 64, false), [(0, expected)]);
        }
    }
}

#[test]
fn the_largest_sums_fit() {
    for (entry, blocks) in [(127, 256), (-128, 256)] {
        let layout = Layout::new(blocks);
        let table = vec![entry; layout.table_bytes()];
        let codes = layout.pack(&vec![3; blocks], blocks);
        let points = Points { layout, codes: &codes, count: 1, bias: None, first: 0 };
        let lookup = Lookup { table: &table, scale: 1.0, base: 0.0, threshold: f32::NEG_INFINITY };
        for kernel in Kernel::available() {
            assert_eq!(scanned(kernel, points, lookup, 64, false), [(0, f32::from(entry) * 256.0)]);
        }
    }
}

//! Per-thread scratch memory, and outputs that are written by many threads before anyone reads them.
#![allow(unsafe_code)] // outputs are not zeroed first, and threads fill interleaved parts of them

use std::cell::RefCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

use crate::prefetch::LINE;

thread_local! {
    /// Buffers that are not lent out; nested calls take them in the same order every time.
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Lends `len` numbers of memory that this thread keeps between calls. Their values are whatever was left there.
pub(crate) fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    // The buffer is taken out, so a nested call gets another one instead of an aliased one.
    let mut buffer = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    let result = work(&mut buffer[..len]);
    SCRATCH.with_borrow_mut(|buffers| buffers.push(buffer));
    result
}

/// Scratch memory in the place of an output.
///
/// # Safety
/// Nothing but numbers may be written to it.
pub(crate) unsafe fn uninit(memory: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // SAFETY: the layout is the same, and the numbers stay numbers by contract.
    unsafe { &mut *(std::ptr::from_mut(memory) as *mut [MaybeUninit<f32>]) }
}

/// An output that starts from zeros.
pub(crate) fn zeroed(memory: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    memory.fill(MaybeUninit::new(0.0));
    // SAFETY: it was filled just now.
    unsafe { memory.assume_init_mut() }
}

/// Memory for `len` numbers that `fill` writes, all of them.
///
/// # Safety
/// `fill` must write every number.
pub(crate) unsafe fn filled(len: usize, fill: impl FnOnce(SharedOutput<'_>)) -> Vec<f32> {
    let mut memory = Box::new_uninit_slice(len);
    fill(SharedOutput::new(&mut memory));
    // SAFETY: initialised by contract.
    unsafe { memory.assume_init() }.into_vec()
}

/// Output memory that several threads fill at the same time, each its own part.
#[derive(Clone, Copy)]
pub(crate) struct SharedOutput<'a> {
    start: *mut MaybeUninit<f32>,
    len: usize,
    lifetime: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

// SAFETY: the memory is only reached through parts that the callers of `strided` promise to be disjoint.
unsafe impl Send for SharedOutput<'_> {}
// SAFETY: as for `Send`.
unsafe impl Sync for SharedOutput<'_> {}

impl<'a> SharedOutput<'a> {
    pub(crate) fn new(memory: &'a mut [MaybeUninit<f32>]) -> Self {
        Self { start: memory.as_mut_ptr(), len: memory.len(), lifetime: PhantomData }
    }

    /// Memory whose numbers are read as well as written.
    pub(crate) fn of(memory: &'a mut [f32]) -> Self {
        Self { start: memory.as_mut_ptr().cast(), len: memory.len(), lifetime: PhantomData }
    }

    /// Every `step`-th of the numbers from `first` on, `count` of them.
    ///
    /// # Safety
    /// No other live part may share a number with this one.
    #[inline]
    pub(crate) unsafe fn strided(self, first: usize, count: usize, step: usize) -> OutputPart<'a> {
        assert!(count == 0 || first + (count - 1) * step < self.len, "part reaches past the output");
        OutputPart { start: self.start.wrapping_add(first), count, step, lifetime: PhantomData }
    }

    /// The start of `rows` rows of `columns` numbers, `pitch` apart, the first of them at `first`.
    ///
    /// # Safety
    /// While they are written or read, no other live part may share a number with these rows.
    #[inline]
    pub(crate) unsafe fn block(self, first: usize, [rows, columns]: [usize; 2], pitch: usize) -> *mut f32 {
        let inside = rows * columns == 0 || first + (rows - 1) * pitch + columns <= self.len;
        assert!(inside, "block reaches past the output");
        self.start.wrapping_add(first).cast()
    }
}

/// Neighbouring numbers of a line, and where they belong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OutputRun {
    pub(crate) from: usize,
    pub(crate) len: usize,
    /// Of the first, relative to the line's place.
    pub(crate) target: usize,
}

impl SharedOutput<'_> {
    /// Writes `runs` of every line; the lines' places are `pitch` apart from `first` on.
    ///
    /// # Safety
    /// Nobody else may read or write these numbers at the same time.
    #[inline]
    pub(crate) unsafe fn scatter<const N: usize>(
        self,
        first: usize,
        pitch: usize,
        runs: &[OutputRun],
        lines: &[[f32; N]],
    ) {
        let farthest = runs.iter().map(|run| run.target + run.len).max().unwrap_or(0);
        let last = first + lines.len().saturating_sub(1) * pitch + farthest;
        assert!(last <= self.len && runs.iter().all(|run| run.from + run.len <= N), "run past the output");
        for (index, line) in lines.iter().enumerate() {
            let start = self.start.wrapping_add(first + index * pitch);
            if let [OutputRun { from: 0, len, target }] = *runs
                && len == N
            {
                // SAFETY: the farthest number of the last line was checked above, and the caller owns them all.
                unsafe { start.add(target).cast::<[f32; N]>().write(*line) };
                continue;
            }
            for run in runs {
                for index in 0..run.len {
                    // SAFETY: as above.
                    unsafe { (*start.add(run.target + index)).write(line[run.from + index]) };
                }
            }
        }
    }
}

impl<'a> SharedOutput<'a> {
    /// `rows` rows of `len` neighbours, `pitch` apart, from `first` on.
    ///
    /// # Safety
    /// No other live part may share a number with this one.
    #[inline]
    pub(crate) unsafe fn rows(self, first: usize, [rows, len]: [usize; 2], pitch: usize) -> OutputRows<'a> {
        assert!(rows == 0 || first + (rows - 1) * pitch + len <= self.len, "part reaches past the output");
        OutputRows { start: self.start.wrapping_add(first).cast(), rows, len, pitch, lifetime: PhantomData }
    }
}

/// Rows of an output that belong to their holder alone.
pub(crate) struct OutputRows<'a> {
    /// The first number; rows inside the output can be reached from it.
    pub(crate) start: *mut f32,
    pub(crate) rows: usize,
    /// Numbers of a row.
    pub(crate) len: usize,
    /// Numbers between the starts of neighbouring rows.
    pub(crate) pitch: usize,
    lifetime: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

impl OutputRows<'_> {
    /// A row after all of it was written.
    ///
    /// # Safety
    /// All numbers of the row were written.
    pub(crate) unsafe fn written(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "no such row");
        // SAFETY: the row lies inside the output by the check in `rows`, is borrowed exclusively, and is initialised by
        // contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.pitch), self.len) }
    }
}

/// A part of an output that belongs to its holder alone.
pub(crate) struct OutputPart<'a> {
    start: *mut MaybeUninit<f32>,
    count: usize,
    step: usize,
    lifetime: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

impl<'a> OutputPart<'a> {
    /// The memory of a part without gaps.
    #[inline]
    pub(crate) fn memory(self) -> &'a mut [MaybeUninit<f32>] {
        assert_eq!(self.step, 1, "the part has gaps");
        // SAFETY: the part lies inside the output by the check in `strided`, and is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.count) }
    }

    /// Writes `values`, each plus `offset`.
    #[inline]
    pub(crate) fn write(self, values: &[f32], offset: f32) {
        assert_eq!(values.len(), self.count, "values for a part of another size");
        if self.step == 1 {
            for (target, value) in self.memory().iter_mut().zip(values) {
                target.write(value + offset);
            }
        } else {
            for (index, value) in values.iter().enumerate() {
                // SAFETY: the last index was checked in `strided`, and the part is borrowed exclusively.
                unsafe { (*self.start.add(index * self.step)).write(value + offset) };
            }
        }
    }
}

/// Memory that holds numbers, to be written anew.
#[inline]
pub(crate) fn as_uninit(memory: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // SAFETY: of the same layout. Nobody here takes a number out of memory that is to be written, so all stay numbers.
    unsafe { &mut *(std::ptr::from_mut(memory) as *mut [MaybeUninit<f32>]) }
}

/// The numbers that memory holds.
///
/// # Safety
/// All of them must have been written.
#[inline]
pub(crate) unsafe fn assume_written(memory: &[MaybeUninit<f32>]) -> &[f32] {
    // SAFETY: of the same layout, and written by contract.
    unsafe { &*(std::ptr::from_ref(memory) as *const [f32]) }
}

/// As many numbers as a cache line holds, in one.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Numbers that start with a cache line, so that no vector of sixteen lies across two.
#[derive(Clone, Debug)]
pub(crate) struct AlignedNumbers {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedNumbers {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        Self { lines: vec![Line([0.0; LINE]); len.div_ceil(LINE)], len }
    }
}

/// [`filled`] as a CPU tensor in row-major order that starts with a cache line, so that vectors do not lie across two.
///
/// # Safety
/// `fill` must write every number.
pub(crate) unsafe fn filled_aligned(
    shape: impl Into<Shape>,
    fill: impl FnOnce(SharedOutput<'_>),
) -> FlexTensor {
    let shape = shape.into();
    let len = shape.num_elements();
    let mut memory = Box::<[f32]>::new_uninit_slice(len + LINE - 1);
    let first = memory.as_ptr().align_offset(align_of::<Line>()).min(LINE - 1);
    let (before, rest) = memory.split_at_mut(first);
    let (output, after) = rest.split_at_mut(len);
    before.iter_mut().chain(after).for_each(|number| _ = number.write(0.0));
    fill(SharedOutput::new(output));
    // SAFETY: what is around the output was written above, the output itself is by contract.
    let values = unsafe { memory.assume_init() }.into_vec();
    let strides = Layout::contiguous(shape.clone()).strides().to_vec();
    FlexTensor::new(Bytes::from_elems(values), Layout::new(shape, strides, first), DType::F32)
}

impl std::ops::Deref for AlignedNumbers {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: lines are arrays of numbers without gaps, and hold at least `len` of them.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl std::ops::DerefMut for AlignedNumbers {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the lines are borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// A CPU tensor that owns `values` in row-major order.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}

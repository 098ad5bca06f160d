//! Tile instructions on processors without tiles: each one traps, and a handler decodes it as the manual has it (volume 2,
//! instruction formats and the VEX prefix), does its work on emulated registers, and goes on behind it. What runs is the machine
//! code that processors with tiles run.
#![allow(unsafe_code)] // a signal handler

use std::cell::{Cell, UnsafeCell};
use std::sync::Once;

use libc::{c_int, c_void, siginfo_t, ucontext_t};

use super::registers::Registers;

thread_local! {
    /// The registers of this thread. Constant at first and without a destructor, so that a handler may reach them.
    static REGISTERS: UnsafeCell<Registers> = const { UnsafeCell::new(Registers::new()) };
    /// Products of tiles that were trapped on this thread.
    static PRODUCTS: Cell<usize> = const { Cell::new(0) };
}

/// What a tile instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    Configure { from: usize },
    Release,
    Zero(usize),
    Load { register: usize, from: usize, pitch: usize },
    Store { register: usize, to: usize, pitch: usize },
    Multiply([usize; 3]),
}

/// Products of tiles that were trapped on this thread so far.
pub(super) fn products() -> usize {
    PRODUCTS.get()
}

/// Whether the registers of this thread have no extents.
pub(super) fn are_released() -> bool {
    // SAFETY: nobody changes them meanwhile: nothing here traps.
    REGISTERS.with(|registers| unsafe { (*registers.get()).are_released() })
}

/// Emulates tile instructions that trap from now on.
pub(super) fn catch() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: the handler does not allocate, lock or return into the middle of anything: it is called by the very
        // instructions that it takes the place of.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = handle;
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO;
            assert_eq!(libc::sigaction(libc::SIGILL, &action, std::ptr::null_mut()), 0);
        }
    });
}

extern "C" fn handle(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system gives a handler with `SA_SIGINFO` the context of the thread, which is nobody else's meanwhile.
    let context = unsafe { &mut *context.cast::<ucontext_t>() };
    let general = &mut context.uc_mcontext.gregs;
    let at = general[libc::REG_RIP as usize] as usize;
    let numbers = ORDER.map(|register| general[register as usize] as usize);
    // SAFETY: the processor has just read the instruction; it is at most fifteen bytes long, and these are read one by one.
    let found = decode(|index| unsafe { *std::ptr::with_exposed_provenance::<u8>(at + index) }, &numbers);
    let Some((instruction, len)) = found else {
        // Any other instruction is a true fault: the default action ends the program when it faults again.
        // SAFETY: no memory is involved.
        unsafe { libc::signal(libc::SIGILL, libc::SIG_DFL) };
        return;
    };
    // SAFETY: no other reference to the registers of this thread is alive, and the program loads and stores what it may.
    REGISTERS.with(|registers| unsafe { run(instruction, &mut *registers.get()) });
    general[libc::REG_RIP as usize] = (at + len) as i64;
}

/// General registers in the order of their numbers.
const ORDER: [c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// # Safety
/// What the instruction loads or stores is there.
unsafe fn run(instruction: Instruction, registers: &mut Registers) {
    let read = std::ptr::with_exposed_provenance;
    match instruction {
        // SAFETY: by contract.
        Instruction::Configure { from } => unsafe {
            registers.configure(&*std::ptr::with_exposed_provenance::<[u8; 64]>(from));
        },
        Instruction::Release => registers.release(),
        Instruction::Zero(register) => registers.zero(register),
        // SAFETY: by contract.
        Instruction::Load { register, from, pitch } => unsafe { registers.load(register, read(from), pitch) },
        Instruction::Store { register, to, pitch } => {
            // SAFETY: by contract.
            unsafe { registers.store(register, std::ptr::with_exposed_provenance_mut(to), pitch) };
        }
        Instruction::Multiply(numbers) => {
            registers.multiply(numbers);
            PRODUCTS.set(PRODUCTS.get() + 1);
        }
    }
}

/// The tile instruction of these bytes, and its length, with these general registers.
pub(super) fn decode(byte: impl Fn(usize) -> u8, general: &[usize; 16]) -> Option<(Instruction, usize)> {
    const NONE: u8 = 0;
    const F3: u8 = 2;
    const F2: u8 = 3;
    // The three-byte VEX prefix: R, X and B are inverted and the map is 0F38; W is 0, vvvv inverted, L is 0.
    let (first, second) = (byte(1), byte(2));
    if byte(0) != 0xC4 || first & 0x1F != 2 || second & 0x84 != 0 {
        return None;
    }
    let extended = |bit: u32| usize::from(!first >> bit & 1) << 3;
    let other = usize::from(!second >> 3 & 15);
    let (prefix, opcode, modes) = (second & 3, byte(3), byte(4));
    let (register, low) = (usize::from(modes >> 3 & 7), usize::from(modes & 7));
    if extended(7) != 0 || (opcode != 0x5C && other != 0) {
        return None;
    }
    if modes >> 6 == 3 {
        let instruction = match (opcode, prefix) {
            (0x49, NONE) if modes == 0xC0 => Instruction::Release,
            (0x49, F2) if low == 0 => Instruction::Zero(register),
            (0x5C, F3) if other < 8 && extended(5) == 0 => Instruction::Multiply([register, low, other]),
            _ => return None,
        };
        return Some((instruction, 5));
    }
    let place = place(&byte, general, [extended(6), extended(5)])?;
    let Place { address, pitch, len } = place;
    let instruction = match (opcode, prefix, pitch) {
        (0x49, NONE, pitch) if register == 0 => Instruction::Configure { from: address + pitch.unwrap_or(0) },
        (0x4B, F2, Some(pitch)) => Instruction::Load { register, from: address, pitch },
        (0x4B, F3, Some(pitch)) => Instruction::Store { register, to: address, pitch },
        _ => return None,
    };
    Some((instruction, len))
}

/// Where an instruction's memory is.
struct Place {
    /// Base and displacement.
    address: usize,
    /// The scaled index, where there is a byte for it.
    pitch: Option<usize>,
    /// Bytes of the whole instruction.
    len: usize,
}

/// The memory operand that begins with the fifth byte.
fn place(byte: &impl Fn(usize) -> u8, general: &[usize; 16], [x, b]: [usize; 2]) -> Option<Place> {
    let modes = byte(4);
    let (size, low) = (modes >> 6, usize::from(modes & 7));
    let (base, pitch, mut len) = match low {
        4 => {
            let scaled = byte(5);
            let index = usize::from(scaled >> 3 & 7) + x;
            let index = if index == 4 { 0 } else { general[index] };
            (usize::from(scaled & 7), Some(index << (scaled >> 6)), 6)
        }
        _ => (low, None, 5),
    };
    // Neither an address relative to the instruction nor one without a base is ever written here.
    if size == 0 && base == 5 {
        return None;
    }
    let displacement = match size {
        0 => 0,
        1 => isize::from(byte(len) as i8),
        _ => i32::from_le_bytes([0, 1, 2, 3].map(|index| byte(len + index))) as isize,
    };
    len += [0, 1, 4][usize::from(size)];
    Some(Place { address: general[base + b].wrapping_add_signed(displacement), pitch, len })
}

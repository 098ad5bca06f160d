//! The stack machine: one method an instruction family, no recursion, no Python.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;

use super::global::Global;
use super::input::Input;
use super::{Id, Limits, Node, Problem, StorageTable, Surroundings};

/// Highest protocol that is read: Python 3.8's, the newest there is.
const PROTOCOL: u8 = 5;
/// Longest integer: 16 bytes cover every number that real files hold, seeds and magic numbers included.
const MAX_INT_BYTES: u64 = 16;
/// Longest line of a protocol 0 number or name.
const MAX_LINE: u64 = 4096;

/// The state of reading one pickle.
pub(super) struct Machine<'r> {
    input: Input<'r>,
    limits: &'r Limits,
    around: Surroundings,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Heights of the stack at which `MARK`s lie.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    pub(super) storages: StorageTable,
    /// Objects and bytes copied by instructions that cost less to write than to execute.
    copied: u64,
}

impl<'r> Machine<'r> {
    pub(super) fn new(reader: &'r mut dyn BufRead, around: Surroundings, limits: &'r Limits) -> Self {
        Self {
            input: Input::new(reader),
            limits,
            around,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            storages: StorageTable::new(),
            copied: 0,
        }
    }

    pub(super) fn limits(&self) -> &'r Limits {
        self.limits
    }

    pub(super) fn around(&self) -> Surroundings {
        self.around
    }

    /// Bytes read so far.
    pub(super) fn consumed(&self) -> u64 {
        self.input.consumed()
    }

    pub(super) fn into_storages(self) -> StorageTable {
        self.storages
    }

    /// The object of an index. Indices come from `add` alone.
    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    /// The object of an index, to be changed.
    pub(super) fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// Stores an object.
    pub(super) fn add(&mut self, node: Node) -> Result<Id, Problem> {
        let id = self.nodes.len();
        if id as u64 >= self.limits.objects.min(u64::from(Id::MAX)) {
            return Err(Problem::TooLarge {
                what: "the number of objects in the pickle",
                limit: self.limits.objects,
            });
        }
        self.nodes.push(node);
        Ok(id as Id)
    }

    /// Pays for copying `units` objects or bytes; the allowance grows with the pickle.
    pub(super) fn pay(&mut self, units: usize) -> Result<(), Problem> {
        self.copied = self.copied.saturating_add(units as u64);
        let granted = self.consumed().saturating_mul(4).saturating_add(1 << 16);
        if self.copied <= granted {
            Ok(())
        } else {
            Err(Problem::TooLarge { what: "what the pickle copies", limit: granted })
        }
    }

    /// Executes instructions up to `STOP` and returns the object it leaves.
    pub(super) fn run(&mut self) -> Result<Id, Problem> {
        for _ in 0..self.limits.opcodes {
            let opcode = self.input.byte()?;
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode)?;
        }
        Err(Problem::TooLarge {
            what: "the number of instructions in the pickle",
            limit: self.limits.opcodes,
        })
    }

    fn step(&mut self, opcode: u8) -> Result<(), Problem> {
        match opcode {
            b'N' | 0x88 | 0x89 | b'K' | b'M' | b'J' | 0x8a | 0x8b | b'G' | b'I' | b'L' | b'F' => {
                self.number(opcode)
            }
            b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 | b'T' | b'U' | b'S' | b'V' => self.string(opcode),
            b'(' | b'0' | b'1' | b'2' => self.shuffle(opcode),
            b'p' | b'q' | b'r' | 0x94 | b'g' | b'h' | b'j' => self.remember(opcode),
            b']' | b')' | b'}' | 0x8f | b'l' | b't' | b'd' | 0x85 | 0x86 | 0x87 | 0x91 => {
                self.container(opcode)
            }
            b'a' | b'e' | b's' | b'u' | 0x90 => self.extend(opcode),
            b'c' | 0x93 | b'R' | b'b' | b'i' | b'o' | 0x81 | 0x92 | b'Q' => self.object(opcode),
            0x80 => match self.input.byte()? {
                version if version <= PROTOCOL => Ok(()),
                version => Err(unsupported(format!("pickle protocol {version}"))),
            },
            // Frames only help a reader to read ahead.
            0x95 => self.input.array::<8>().map(drop),
            0x82..=0x84 => Err(unsupported("a pickle with registered extensions".to_owned())),
            0x97 | 0x98 => Err(unsupported("a pickle with its buffers elsewhere".to_owned())),
            b'P' => Err(unsupported("a pickle with references to outside objects".to_owned())),
            other => Err(Problem::corrupt(format!(
                "byte {} of the pickle is {other:#04x}, which is no instruction",
                self.consumed() - 1
            ))),
        }
    }

    fn number(&mut self, opcode: u8) -> Result<(), Problem> {
        let node = match opcode {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'K' => Node::Int(self.input.byte()?.into()),
            b'M' => Node::Int(u16::from_le_bytes(self.input.array()?).into()),
            b'J' => Node::Int(i32::from_le_bytes(self.input.array()?).into()),
            0x8a => {
                let length = self.input.byte()?.into();
                self.long(length)?
            }
            0x8b => {
                let length = u32::from_le_bytes(self.input.array()?).into();
                self.long(length)?
            }
            b'G' => Node::Float(f64::from_be_bytes(self.input.array()?)),
            b'I' => match self.number_line()?.as_str() {
                "00" => Node::Bool(false),
                "01" => Node::Bool(true),
                text => Node::Int(parse(text)?),
            },
            b'L' => {
                let text = self.number_line()?;
                Node::Int(parse(text.strip_suffix('L').unwrap_or(&text))?)
            }
            _ => Node::Float(parse(&self.number_line()?)?),
        };
        self.push(node)
    }

    /// A little-endian two's complement integer of `length` bytes.
    fn long(&mut self, length: u64) -> Result<Node, Problem> {
        if length > MAX_INT_BYTES {
            // Read over, within the cap on strings: nobody computes with such a number here.
            self.input.bytes(length, self.limits.string_bytes)?;
            return Ok(Node::Opaque(format!("integer of {length} bytes").into()));
        }
        let bytes = self.input.bytes(length, MAX_INT_BYTES)?;
        let negative = bytes.last().is_some_and(|&top| top & 0x80 != 0);
        let mut value = [if negative { 0xff } else { 0 }; 16];
        value[..bytes.len()].copy_from_slice(&bytes);
        Ok(Node::Int(i128::from_le_bytes(value)))
    }

    fn number_line(&mut self) -> Result<String, Problem> {
        let line = self.input.line(MAX_LINE)?;
        String::from_utf8(line).map_err(|_| Problem::corrupt("a number in the pickle is not text"))
    }

    fn string(&mut self, opcode: u8) -> Result<(), Problem> {
        let limit = self.limits.string_bytes;
        let length = match opcode {
            0x8c | b'C' | b'U' => self.input.byte()?.into(),
            b'X' | b'B' | b'T' => u32::from_le_bytes(self.input.array()?).into(),
            0x8d | 0x8e | 0x96 => u64::from_le_bytes(self.input.array()?),
            _ => {
                let line = self.input.line(limit)?;
                let node = if opcode == b'S' {
                    Node::ByteString(python2_literal(&line)?.into())
                } else {
                    Node::Str(raw_unicode_escape(&line)?.into())
                };
                return self.push(node);
            }
        };
        let bytes = self.input.bytes(length, limit)?;
        let node = match opcode {
            b'X' | 0x8c | 0x8d => {
                let text = String::from_utf8(bytes)
                    .map_err(|_| Problem::corrupt("a text in the pickle is not UTF-8"))?;
                Node::Str(text.into())
            }
            b'T' | b'U' => Node::ByteString(bytes.into()),
            _ => Node::Bytes(bytes.into()),
        };
        self.push(node)
    }

    fn shuffle(&mut self, opcode: u8) -> Result<(), Problem> {
        match opcode {
            b'(' => self.marks.push(self.stack.len()),
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            _ => {
                let top = self.top()?;
                self.stack.push(top);
            }
        }
        Ok(())
    }

    fn remember(&mut self, opcode: u8) -> Result<(), Problem> {
        let key = match opcode {
            0x94 => self.memo.len() as u64,
            b'q' | b'h' => self.input.byte()?.into(),
            b'r' | b'j' => u32::from_le_bytes(self.input.array()?).into(),
            _ => parse(&self.number_line()?)?,
        };
        if matches!(opcode, b'g' | b'h' | b'j') {
            let id = *self.memo.get(&key).ok_or_else(|| {
                Problem::corrupt(format!("the pickle refers to object {key} before it is there"))
            })?;
            self.stack.push(id);
        } else {
            let top = self.top()?;
            self.memo.insert(key, top);
        }
        Ok(())
    }

    fn container(&mut self, opcode: u8) -> Result<(), Problem> {
        let node = match opcode {
            b']' | 0x8f => Node::List(Vec::new()),
            b')' => Node::Tuple(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            b'l' | 0x91 => Node::List(self.pop_to_mark()?),
            b't' => Node::Tuple(self.pop_to_mark()?),
            b'd' => Node::Dict(pairs(&self.pop_to_mark()?)?),
            small => {
                let mut items = Vec::with_capacity(3);
                for _ in 0x85..=small {
                    items.push(self.pop()?);
                }
                items.reverse();
                Node::Tuple(items)
            }
        };
        self.push(node)
    }

    fn extend(&mut self, opcode: u8) -> Result<(), Problem> {
        let items = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        let target = self.top()?;
        match (opcode, self.node_mut(target)) {
            (b'a' | b'e' | 0x90, Node::List(list)) => list.extend(items),
            (b's' | b'u', Node::Dict(entries)) => entries.extend(pairs(&items)?),
            _ => return Err(Problem::corrupt("the pickle adds items to something that is no container")),
        }
        Ok(())
    }

    fn object(&mut self, opcode: u8) -> Result<(), Problem> {
        let id = match opcode {
            b'c' => {
                let module = self.number_line()?;
                let name = self.number_line()?;
                self.global(&module, &name)?
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (module, name) = (self.text(module)?, self.text(name)?);
                self.global(&module, &name)?
            }
            b'R' => {
                let (args, callable) = (self.pop()?, self.pop()?);
                self.call(callable, args)?
            }
            0x81 => {
                let (args, class) = (self.pop()?, self.pop()?);
                self.instantiate(class, args)?
            }
            0x92 => {
                let (keywords, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                match self.node(keywords) {
                    Node::Dict(entries) if entries.is_empty() => self.instantiate(class, args)?,
                    _ => return Err(unsupported("a pickle that passes arguments by name".to_owned())),
                }
            }
            b'i' => {
                let module = self.number_line()?;
                let name = self.number_line()?;
                let class = self.global(&module, &name)?;
                let args = self.pop_to_mark()?;
                let args = self.add(Node::Tuple(args))?;
                self.instantiate(class, args)?
            }
            b'o' => {
                let mut args = self.pop_to_mark()?;
                if args.is_empty() {
                    return Err(Problem::corrupt("the pickle makes an object of no class"));
                }
                let class = args.remove(0);
                let args = self.add(Node::Tuple(args))?;
                self.instantiate(class, args)?
            }
            b'Q' => {
                let reference = self.pop()?;
                self.storage_reference(reference)?
            }
            _ => {
                let (state, object) = (self.pop()?, self.top()?);
                return self.set_state(object, state);
            }
        };
        self.stack.push(id);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<Id, Problem> {
        let global = Global::resolve(module, name).ok_or_else(|| {
            // Names come from the file: keep control characters and endless names out of the message.
            let shown: String =
                format!("{module}.{name}").chars().filter(|c| !c.is_control()).take(120).collect();
            Problem::Code(shown)
        })?;
        self.add(Node::Global(global))
    }

    /// The text of a string object.
    pub(super) fn text(&self, id: Id) -> Result<Arc<str>, Problem> {
        match self.node(id) {
            Node::Str(text) => Ok(text.clone()),
            // Copied and checked at every use, so held to the length of a name.
            Node::ByteString(bytes) if bytes.len() as u64 <= MAX_LINE => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(text.into()),
                Err(_) => Err(Problem::corrupt("a name in the pickle is not text")),
            },
            _ => Err(Problem::corrupt("the pickle has something else where a text belongs")),
        }
    }

    fn push(&mut self, node: Node) -> Result<(), Problem> {
        let id = self.add(node)?;
        self.stack.push(id);
        Ok(())
    }

    /// The object on top, above the last mark.
    fn top(&self) -> Result<Id, Problem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(&id) if self.stack.len() > floor => Ok(id),
            _ => Err(Problem::corrupt("the pickle takes more from its stack than it put there")),
        }
    }

    fn pop(&mut self) -> Result<Id, Problem> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Problem> {
        let mark = self
            .marks
            .pop()
            .ok_or_else(|| Problem::corrupt("the pickle looks for a mark that it never set"))?;
        Ok(self.stack.split_off(mark))
    }
}

/// Keys and values that lie alternately.
fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Problem> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    } else {
        Err(Problem::corrupt("a dictionary in the pickle has a key without a value"))
    }
}

fn unsupported(what: String) -> Problem {
    Problem::Unsupported {
        what,
        remedy: "load it in Python and save it with torch.save(state_dict, \"weights.pth\")",
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.trim().parse().map_err(|_| Problem::corrupt("a number in the pickle cannot be read"))
}

/// A quoted string as Python 2 wrote it: quotes, backslash escapes.
fn python2_literal(line: &[u8]) -> Result<Vec<u8>, Problem> {
    let bad = || Problem::corrupt("a quoted string in the pickle cannot be read");
    let inner = match line {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        _ => return Err(bad()),
    };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().ok_or_else(bad)? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let high = rest.next().and_then(|&d| char::from(d).to_digit(16)).ok_or_else(bad)?;
                let low = rest.next().and_then(|&d| char::from(d).to_digit(16)).ok_or_else(bad)?;
                (high * 16 + low) as u8
            }
            &quoted @ (b'\\' | b'\'' | b'"') => quoted,
            _ => return Err(bad()),
        });
    }
    Ok(bytes)
}

/// Text in Python's `raw-unicode-escape`: Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
fn raw_unicode_escape(line: &[u8]) -> Result<String, Problem> {
    let bad = || Problem::corrupt("a text in the pickle cannot be read");
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let digits = match (byte, tail.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                text.push(char::from(byte));
                continue;
            }
        };
        let hex = tail.get(1..=digits).and_then(|hex| std::str::from_utf8(hex).ok()).ok_or_else(bad)?;
        let code = u32::from_str_radix(hex, 16).map_err(|_| bad())?;
        text.push(char::from_u32(code).ok_or_else(bad)?);
        rest = &tail[digits + 1..];
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_literals() {
        assert_eq!(python2_literal(br"'a\n\x41\\\''").unwrap(), b"a\nA\\'");
        assert_eq!(python2_literal(b"\"it's\"").unwrap(), b"it's");
        for bad in [&b"'a"[..], b"a", b"'", b"'\\'", b"'\\x4'", b"'\\q'"] {
            assert!(python2_literal(bad).is_err(), "{bad:?}");
        }
        assert_eq!(raw_unicode_escape(b"caf\xe9 \\u20ac \\U0001f600 \\n").unwrap(), "café € 😀 \\n");
        for bad in [&b"\\u12"[..], b"\\ud800", b"\\U00110000", b"\\uzzzz"] {
            assert!(raw_unicode_escape(bad).is_err(), "{bad:?}");
        }
    }
}

//! Jobs: launches and copies as words, which cross from the engine's module to this one in a page.

use alloc::vec::Vec;

use bytemuck::{AnyBitPattern, NoUninit};

use crate::memory::{self, Fault, Output, Span, product};
use crate::op::Op;

/// Most bindings of a launch.
const MAX_SPANS: usize = 16;
/// First word of a launch, and of a copy.
const LAUNCH: u32 = 0;
const COPY: u32 = 1;
/// Words of a launch before its parameters: kind, operation, grid, numbers of parameters and of spans.
const HEADER: usize = 8;
/// Words of a span.
const SPAN_WORDS: usize = 4;

/// A list of commands, as words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job(Vec<u32>);

impl Job {
    /// Adds a launch: an operation, the words of its parameters, its grid, and its bindings in order.
    pub fn launch(&mut self, op: Op, params: &[u32], grid: [u32; 3], spans: impl Iterator<Item = Span>) {
        let [low, high] = op.words();
        self.0.extend([LAUNCH, low, high]);
        self.0.extend(grid);
        self.0.extend([params.len() as u32, 0]);
        let count = self.0.len() - 1;
        self.0.extend(params);
        for span in spans {
            self.0[count] += 1;
            self.put(span);
        }
    }

    /// Adds a copy of a span to another.
    pub fn copy(&mut self, from: Span, to: Span) {
        self.0.push(COPY);
        self.put(from);
        self.put(to);
    }

    fn put(&mut self, Span { at, bytes }: Span) {
        self.0.extend([at as u32, (at >> 32) as u32, bytes as u32, (bytes >> 32) as u32]);
    }

    /// The words.
    pub fn words(&self) -> &[u32] {
        &self.0
    }
}

/// A job of any words, which are checked where it is carried out.
impl From<Vec<u32>> for Job {
    fn from(words: Vec<u32>) -> Self {
        Self(words)
    }
}

/// A command of a job.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one exists at a time, and there is no allocation for it")]
pub enum Command<'a> {
    /// A launch.
    Launch(Launch<'a>),
    /// A copy between two spans.
    Copy {
        /// The source.
        from: Span,
        /// The target, at least as long.
        to: Span,
    },
}

/// A launch of a kernel.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The kernel.
    pub op: Op,
    /// Words of the parameters, in the order of the shader's `Params`.
    pub params: &'a [u32],
    /// Workgroups of the GPU's kernel. Only kernels whose work it tells read it.
    pub grid: [u32; 3],
    spans: [Span; MAX_SPANS],
    count: usize,
}

impl<'a> Launch<'a> {
    /// The parameters, as a struct of 32-bit words in their order.
    ///
    /// # Errors
    /// [`Fault::Missing`] if there are fewer.
    pub fn params<T: AnyBitPattern>(&self) -> Result<T, Fault> {
        let bytes: &[u8] = bytemuck::cast_slice(self.params);
        bytes.get(..size_of::<T>()).map(bytemuck::pod_read_unaligned).ok_or(Fault::Missing)
    }

    /// The bindings in order.
    pub fn spans(&self) -> &[Span] {
        &self.spans[..self.count]
    }

    fn span(&self, binding: usize) -> Result<Span, Fault> {
        self.spans().get(binding).copied().ok_or(Fault::Missing)
    }

    /// A binding that the kernel reads; the first is 0. It must not be written by the same launch.
    ///
    /// # Errors
    /// [`Fault::Missing`], or [`Fault::OutOfBounds`] if it has fewer numbers than a tensor of this shape.
    pub fn input<T: AnyBitPattern, const N: usize>(&self, binding: usize, shape: [usize; N]) -> Result<&'a [T], Fault> {
        let len = product(shape)?;
        // SAFETY: The caller of `run` vouches for spans.
        let all: &[T] = unsafe { memory::input(self.span(binding)?) }?;
        all.get(..len).ok_or(Fault::OutOfBounds)
    }

    /// All of a binding that the kernel reads.
    ///
    /// # Errors
    /// [`Fault::Missing`].
    pub fn whole<T: AnyBitPattern>(&self, binding: usize) -> Result<&'a [T], Fault> {
        // SAFETY: The caller of `run` vouches for spans.
        unsafe { memory::input(self.span(binding)?) }
    }

    /// A binding that the kernel writes.
    ///
    /// # Errors
    /// [`Fault::Missing`], or [`Fault::OutOfBounds`] if it has fewer numbers than a tensor of this shape.
    pub fn output<T: AnyBitPattern + NoUninit, const N: usize>(
        &self,
        binding: usize,
        shape: [usize; N],
    ) -> Result<Output<'a, T>, Fault> {
        Output::of(self.span(binding)?)?.expect(product(shape)?)
    }
}

/// The commands of a job, until the first fault.
#[derive(Debug)]
pub struct Commands<'a>(&'a [u32]);

impl<'a> Commands<'a> {
    /// The commands of words.
    pub fn of(words: &'a [u32]) -> Self {
        Self(words)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u32], Fault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn span(&mut self) -> Result<Span, Fault> {
        let words = self.take(SPAN_WORDS)?;
        let wide = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let span = Span { at: wide(words[0], words[1]), bytes: wide(words[2], words[3]) };
        span.at.checked_add(span.bytes).map(|_| span).ok_or(Fault::Malformed)
    }

    fn command(&mut self) -> Result<Command<'a>, Fault> {
        match self.0.first() {
            Some(&LAUNCH) => self.launch().map(Command::Launch),
            Some(&COPY) => {
                self.take(1)?;
                Ok(Command::Copy { from: self.span()?, to: self.span()? })
            }
            _ => Err(Fault::Malformed),
        }
    }

    fn launch(&mut self) -> Result<Launch<'a>, Fault> {
        let header = self.take(HEADER)?;
        let op = Op::of_words([header[1], header[2]]).ok_or(Fault::Malformed)?;
        let params = self.take(header[6] as usize)?;
        let count = header[7] as usize;
        let mut spans = [Span::default(); MAX_SPANS];
        for span in spans.get_mut(..count).ok_or(Fault::Malformed)? {
            *span = self.span()?;
        }
        Ok(Launch { op, params, grid: [header[3], header[4], header[5]], spans, count })
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let command = self.command();
        if command.is_err() {
            self.0 = &[];
        }
        Some(command)
    }
}

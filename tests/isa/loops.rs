//! Work of a kernel's loops for each multiply-add, read from its instructions.

/// An innermost loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loop {
    pub(crate) first: usize,
    end: usize,
    /// Instructions of an iteration.
    pub(crate) instructions: usize,
    /// Vector instructions among them, the scarcest resource of a device.
    pub(crate) vector: usize,
    /// Float multiplications among them.
    pub(crate) products: usize,
    /// Dot products of four integers among them.
    pub(crate) dots: usize,
    /// The loop has exponentials: an activation after a product.
    pub(crate) activates: bool,
}

/// The instructions of a program.
pub(crate) struct Program<'a> {
    instructions: Vec<&'a str>,
    /// First instruction and the one after the last, of every loop.
    loops: Vec<(usize, usize)>,
}

impl<'a> Program<'a> {
    /// Parses the assembly that RADV prints: `BB7:` is a label; every other line is an instruction with a comment.
    pub(crate) fn parse(assembly: &'a str) -> Self {
        let (mut instructions, mut labels) = (Vec::new(), Vec::new());
        for line in assembly.lines() {
            let code = line.split(';').next().unwrap_or_default().trim();
            match code.strip_suffix(':') {
                Some(label) => labels.push((label, instructions.len())),
                None if code.is_empty() => {}
                None => instructions.push(code),
            }
        }
        let target = |code: &str| {
            let label =
                code.strip_prefix("s_branch ").or_else(|| code.strip_prefix("s_cbranch_")?.split(' ').nth(1))?;
            labels.iter().find(|(name, _)| *name == label.trim()).map(|(_, at)| *at)
        };
        let mut loops: Vec<(usize, usize)> = Vec::new();
        for (at, code) in instructions.iter().enumerate() {
            let Some(first) = target(code).filter(|first| *first <= at) else { continue };
            match loops.iter_mut().find(|(known, _)| *known == first) {
                Some((_, end)) => *end = at + 1,
                None => loops.push((first, at + 1)),
            }
        }
        loops.sort_unstable();
        Self { instructions, loops }
    }

    /// Number of instructions.
    pub(crate) fn len(&self) -> usize {
        self.instructions.len()
    }

    /// The innermost loops that multiply, in order. Loops with fewer than eight products serve another purpose.
    pub(crate) fn multiplying(&self) -> Vec<Loop> {
        let encloses = |&(first, end): &(usize, usize), &(other, after): &(usize, usize)| {
            (first, end) != (other, after) && first <= other && after <= end
        };
        let innermost = self.loops.iter().filter(|outer| !self.loops.iter().any(|inner| encloses(outer, inner)));
        innermost.map(|&(first, end)| self.at(first, end)).filter(|found| found.products >= 8).collect()
    }

    /// Instructions of the smallest loop that contains all of `inner`; of the whole program, if none does.
    pub(crate) fn around(&self, inner: &[Loop]) -> usize {
        let contains = |&&(first, end): &&(usize, usize)| {
            let within = |inner: &Loop| first <= inner.first && inner.end <= end && inner.instructions < end - first;
            inner.len() > 1 && inner.iter().all(within)
        };
        self.loops.iter().filter(contains).map(|(first, end)| end - first).min().unwrap_or(self.len())
    }

    fn at(&self, first: usize, end: usize) -> Loop {
        let count = |is: &dyn Fn(&str) -> bool| self.instructions[first..end].iter().filter(|code| is(code)).count();
        let multiplies = |code: &str| {
            ["v_fma", "v_mul_f", "v_mac", "v_dot", "v_pk_fma", "v_pk_mul_f"].iter().any(|name| code.starts_with(name))
        };
        let vector = count(&|code| code.starts_with("v_"));
        let activates = count(&|code| code.starts_with("v_exp")) > 0;
        let dots = count(&|code| code.starts_with("v_dot"));
        Loop { first, end, instructions: end - first, vector, products: count(&multiplies), dots, activates }
    }
}

#[test]
fn loops_and_their_work_are_found() {
    let text = "BB0:\n\tv_mov v0\t; 00\nBB1:\n\ts_cbranch_scc1 BB4\nBB2:\n\tv_mul_f32 v1 ; 1\n\tv_fma_f32 v2\n\tv_fmac_f32 v2\n\tv_fma_f32 \
                v2\n\tv_fma_f32 v2\n\tv_dot4_i32_i8 v2\n\tv_fma_f32 v2\n\tv_pk_fma_f16 v2\n\ts_cbranch_scc0 BB2\n\tv_add_f32 \
                v3\n\ts_branch BB1\nBB4:\n\ts_endpgm\n";
    let program = Program::parse(text);
    assert_eq!(program.len(), 14);
    let inner = Loop { first: 2, end: 11, instructions: 9, vector: 8, products: 8, dots: 1, activates: false };
    assert_eq!(program.multiplying(), [inner]);
    assert_eq!((program.around(&[inner]), program.around(&[inner, inner])), (14, 12));
}

//! Arithmetic of shaders on words.

use half::f16;
use naga::{BinaryOperator as Op, MathFunction as Fun, Scalar, ScalarKind as Kind, UnaryOperator};

pub(super) fn float(word: u32, scalar: Scalar) -> f32 {
    if scalar.width == 2 { f16::from_bits(word as u16).to_f32() } else { f32::from_bits(word) }
}

pub(super) fn word(x: f32, scalar: Scalar) -> u32 {
    if scalar.width == 2 { u32::from(f16::from_f32(x).to_bits()) } else { x.to_bits() }
}

pub(super) fn unary(op: UnaryOperator, x: u32, scalar: Scalar) -> u32 {
    match (op, scalar.kind) {
        (UnaryOperator::Negate, Kind::Float) => word(-float(x, scalar), scalar),
        (UnaryOperator::Negate, _) => x.wrapping_neg(),
        (UnaryOperator::LogicalNot, _) => u32::from(x == 0),
        (UnaryOperator::BitwiseNot, _) => !x,
    }
}

/// A binary operator on scalars of the same kind.
pub(super) fn binary(op: Op, a: u32, b: u32, scalar: Scalar) -> u32 {
    match op {
        Op::And | Op::LogicalAnd => return a & b,
        Op::InclusiveOr | Op::LogicalOr => return a | b,
        Op::ExclusiveOr => return a ^ b,
        Op::ShiftLeft => return a.wrapping_shl(b),
        Op::ShiftRight if scalar.kind == Kind::Sint => return (a.cast_signed().wrapping_shr(b)).cast_unsigned(),
        Op::ShiftRight => return a.wrapping_shr(b),
        _ => {}
    }
    match scalar.kind {
        Kind::Float => floats(op, float(a, scalar), float(b, scalar), scalar),
        Kind::Sint => signed(op, a.cast_signed(), b.cast_signed()),
        _ => unsigned(op, a, b),
    }
}

fn floats(op: Op, a: f32, b: f32, scalar: Scalar) -> u32 {
    match op {
        Op::Add => word(a + b, scalar),
        Op::Subtract => word(a - b, scalar),
        Op::Multiply => word(a * b, scalar),
        Op::Divide => word(a / b, scalar),
        Op::Modulo => word(a % b, scalar),
        _ => u32::from(compares(op, a, b)),
    }
}

fn signed(op: Op, a: i32, b: i32) -> u32 {
    let result = match op {
        Op::Add => a.wrapping_add(b),
        Op::Subtract => a.wrapping_sub(b),
        Op::Multiply => a.wrapping_mul(b),
        Op::Divide => a.checked_div(b).unwrap_or(a),
        Op::Modulo => a.checked_rem(b).unwrap_or(0),
        _ => return u32::from(compares(op, a, b)),
    };
    result.cast_unsigned()
}

fn unsigned(op: Op, a: u32, b: u32) -> u32 {
    match op {
        Op::Add => a.wrapping_add(b),
        Op::Subtract => a.wrapping_sub(b),
        Op::Multiply => a.wrapping_mul(b),
        Op::Divide => a.checked_div(b).unwrap_or(a),
        Op::Modulo => a.checked_rem(b).unwrap_or(0),
        _ => u32::from(compares(op, a, b)),
    }
}

fn compares<T: PartialOrd>(op: Op, a: T, b: T) -> bool {
    match op {
        Op::Equal => a == b,
        Op::NotEqual => a != b,
        Op::Less => a < b,
        Op::LessEqual => a <= b,
        Op::Greater => a > b,
        Op::GreaterEqual => a >= b,
        _ => panic!("operator {op:?}"),
    }
}

/// A function of each component; `None` for functions of whole vectors.
pub(super) fn each(fun: Fun, args: &[u32], scalar: Scalar) -> Option<u32> {
    if scalar.kind == Kind::Float {
        let x: Vec<f32> = args.iter().map(|arg| float(*arg, scalar)).collect();
        return of_floats(fun, &x).map(|result| word(result, scalar));
    }
    let less = |a: u32, b: u32| if scalar.kind == Kind::Sint { a.cast_signed() < b.cast_signed() } else { a < b };
    let (min, max) = (|a, b| if less(a, b) { a } else { b }, |a, b| if less(a, b) { b } else { a });
    Some(match (fun, args) {
        (Fun::Min, &[a, b]) => min(a, b),
        (Fun::Max, &[a, b]) => max(a, b),
        (Fun::Clamp, &[x, low, high]) => min(max(x, low), high),
        (Fun::Abs, &[x]) if scalar.kind == Kind::Sint => x.cast_signed().unsigned_abs(),
        (Fun::Abs, &[x]) => x,
        (Fun::CountLeadingZeros, &[x]) => x.leading_zeros(),
        (Fun::CountTrailingZeros, &[x]) => x.trailing_zeros(),
        (Fun::CountOneBits, &[x]) => x.count_ones(),
        (Fun::ExtractBits, &[x, offset, count]) => {
            let (offset, count) = (offset.min(32), count.min(32 - offset.min(32)));
            let shifted = u64::from(x) << (64 - offset - count);
            let back = 64 - count;
            match scalar.kind {
                _ if count == 0 => 0,
                Kind::Sint => (shifted.cast_signed() >> back) as u32,
                _ => (shifted >> back) as u32,
            }
        }
        _ => return None,
    })
}

fn of_floats(fun: Fun, x: &[f32]) -> Option<f32> {
    Some(match (fun, x) {
        (Fun::Abs, &[x]) => x.abs(),
        (Fun::Min, &[a, b]) => a.min(b),
        (Fun::Max, &[a, b]) => a.max(b),
        (Fun::Clamp, &[x, low, high]) => x.max(low).min(high),
        (Fun::Saturate, &[x]) => x.clamp(0.0, 1.0),
        (Fun::Floor, &[x]) => x.floor(),
        (Fun::Ceil, &[x]) => x.ceil(),
        (Fun::Round, &[x]) => x.round_ties_even(),
        (Fun::Trunc, &[x]) => x.trunc(),
        (Fun::Fract, &[x]) => x - x.floor(),
        (Fun::Exp, &[x]) => x.exp(),
        (Fun::Exp2, &[x]) => x.exp2(),
        (Fun::Log, &[x]) => x.ln(),
        (Fun::Log2, &[x]) => x.log2(),
        (Fun::Pow, &[a, b]) => a.powf(b),
        (Fun::Sign, &[x]) => {
            if x == 0.0 {
                0.0
            } else {
                x.signum()
            }
        }
        (Fun::Fma, &[a, b, c]) => a.mul_add(b, c),
        (Fun::Mix, &[a, b, t]) => a * (1.0 - t) + b * t,
        (Fun::Sqrt, &[x]) => x.sqrt(),
        (Fun::InverseSqrt, &[x]) => 1.0 / x.sqrt(),
        (Fun::Cos, &[x]) => x.cos(),
        (Fun::Sin, &[x]) => x.sin(),
        (Fun::Tanh, &[x]) => x.tanh(),
        (Fun::QuantizeToF16, &[x]) => f16::from_f32(x).to_f32(),
        _ => return None,
    })
}

/// A function of whole vectors.
pub(super) fn whole(fun: Fun, a: &[u32], b: &[u32], scalar: Scalar) -> Vec<u32> {
    let bytes = |word: u32| word.to_le_bytes();
    let signed = |word: u32| word.to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
    let halves = |word: u32| [word as u16, (word >> 16) as u16].map(|bits| f16::from_bits(bits).to_f32());
    let packed = |each: &dyn Fn(u32) -> u32| a.iter().rev().fold(0, |word, part| word << 8 | each(*part) & 0xff);
    match fun {
        Fun::Dot if scalar.kind == Kind::Float => {
            let sum = a.iter().zip(b).map(|(a, b)| float(*a, scalar) * float(*b, scalar)).sum();
            vec![word(sum, scalar)]
        }
        Fun::Dot => vec![a.iter().zip(b).fold(0, |sum, (a, b)| sum.wrapping_add(a.wrapping_mul(*b)))],
        Fun::Dot4I8Packed => {
            let products = signed(a[0]).into_iter().zip(signed(b[0])).map(|(a, b)| a * b);
            vec![products.sum::<i32>().cast_unsigned()]
        }
        Fun::Pack2x16float => {
            let [low, high] = [a[0], a[1]].map(|x| u32::from(f16::from_f32(f32::from_bits(x)).to_bits()));
            vec![low | high << 16]
        }
        Fun::Unpack2x16float => halves(a[0]).map(f32::to_bits).to_vec(),
        Fun::Unpack4xI8 => signed(a[0]).map(i32::cast_unsigned).to_vec(),
        Fun::Unpack4xU8 => bytes(a[0]).map(u32::from).to_vec(),
        Fun::Pack4xI8 | Fun::Pack4xU8 => vec![packed(&|part| part)],
        Fun::Pack4xI8Clamp => vec![packed(&|part| part.cast_signed().clamp(-128, 127).cast_unsigned())],
        Fun::Pack4xU8Clamp => vec![packed(&|part| part.min(255))],
        _ => panic!("function {fun:?}"),
    }
}

/// Conversion of a scalar's value.
pub(super) fn convert(x: u32, from: Scalar, to: Scalar) -> u32 {
    match (from.kind, to.kind) {
        (Kind::Float, Kind::Float) => word(float(x, from), to),
        (Kind::Float, Kind::Sint) => (float(x, from) as i32).cast_unsigned(),
        (Kind::Float, Kind::Uint) => float(x, from) as u32,
        (Kind::Float, Kind::Bool) => u32::from(float(x, from) != 0.0),
        (Kind::Sint, Kind::Float) => word(x.cast_signed() as f32, to),
        (_, Kind::Float) => word(x as f32, to),
        (_, Kind::Bool) => u32::from(x != 0),
        _ => x,
    }
}

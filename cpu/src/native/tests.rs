//! Jobs carried out by several threads.

use super::{Heap, Pool};
use crate::{Fault, InstructionSet, Job, Op, Plain, Span};

/// A buffer in the memory of the process.
struct Buffer(Span);

impl Buffer {
    fn of(numbers: &[f32]) -> Self {
        let bytes = size_of_val(numbers) as u64;
        let at = Heap::alloc(bytes).expect("memory");
        // SAFETY: The buffer has room for the numbers.
        unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr(), at as *mut f32, numbers.len()) };
        Self(Span { at, bytes })
    }

    fn numbers(&self) -> Vec<f32> {
        // SAFETY: The buffer holds so many floats.
        unsafe { std::slice::from_raw_parts(self.0.at as *const f32, self.0.bytes as usize / 4) }.to_vec()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: The span is that of an allocation.
        unsafe { Heap::free(self.0.at, self.0.bytes) }
    }
}

fn norm(x: &Buffer, y: &Buffer, weight: &Buffer, rows: u32, width: u32) -> Job {
    let mut job = Job::default();
    let spans = [x, y, weight].map(|buffer| buffer.0).into_iter();
    job.launch(Op::RmsNorm { adds: false }, &[width / 4, 1e-5_f32.to_bits(), 0], [rows, 1, 1], spans);
    job
}

#[test]
fn every_number_of_threads_gives_the_same_bits() {
    let numbers: Vec<f32> = (0..64 * 260).map(|i| ((i * 7919) % 1013) as f32 / 500.0 - 1.0).collect();
    for set in InstructionSet::detected() {
        let results = [1, 2, 3].map(|threads| {
            let pool = Pool::new(set, threads).expect("threads");
            let (x, y, weight) = (Buffer::of(&numbers), Buffer::of(&vec![0.0; numbers.len()]), Buffer::of(&[1.5; 260]));
            let mut job = norm(&x, &y, &weight, 64, 260);
            job.copy(y.0, x.0);
            job.launch(Op::Plain(Plain::SoftCap), &[64 * 260, 0.5_f32.to_bits()], [1, 1, 1], [x.0].into_iter());
            for _ in 0..100 {
                // SAFETY: The buffers live until the pool has finished.
                unsafe { pool.run(&job) }.expect("a job");
            }
            (y.numbers(), x.numbers())
        });
        assert!(results.iter().all(|result| *result == results[0]), "{set:?}");
        let (y, x) = &results[0];
        assert!(x.iter().zip(y).all(|(x, y)| (x - 0.5 * (y / 0.5).tanh()).abs() < 1e-6), "{set:?}");
    }
}

#[test]
fn launches_beyond_their_spans_are_faults() {
    let pool = Pool::new(InstructionSet::SCALAR, 2).expect("threads");
    let (x, y, weight) = (Buffer::of(&[1.0; 8]), Buffer::of(&[0.0; 8]), Buffer::of(&[1.0; 4]));
    for (rows, width) in [(3, 4), (1, 8), (u32::MAX, 4), (u32::MAX, u32::MAX)] {
        // SAFETY: The buffers live until the pool has finished.
        let result = unsafe { pool.run(&norm(&x, &y, &weight, rows, width)) };
        assert_eq!(result, Err(Fault::OutOfBounds), "{rows} {width}");
    }
    // SAFETY: As above.
    assert_eq!(unsafe { pool.run(&norm(&x, &y, &weight, 2, 4)) }, Ok(()), "faults leave the pool usable");
    assert!(y.numbers().iter().all(|y| (y - 1.0).abs() < 1e-4));
}

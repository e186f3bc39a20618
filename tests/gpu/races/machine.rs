//! A simulated workgroup: all its lanes execute a statement before the next one, in an order that a seed decides. Accesses to shared memory are
//! recorded, so that races are found whatever the order.

use std::collections::BTreeSet;

use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{AddressSpace, Barrier, Block, Expression, Function, Handle, Module, Statement, StorageAccess, SwitchValue};
use ocelli::kernels::cases::Random;

use super::memory::{Access, Memory, scalars};

/// The number of lanes of a subgroup, and the lane of each place in the subgroups.
#[derive(Debug, Clone)]
pub(super) struct Subgroups {
    pub(super) size: usize,
    /// Subgroup and index in it, for each lane of a workgroup.
    pub(super) places: Vec<(usize, usize)>,
}

/// The value of an expression in a lane.
#[derive(Debug, Clone, Default)]
pub(super) enum Value {
    #[default]
    Nothing,
    /// The scalars of a value in order.
    Words(Vec<u32>),
    Place(Place),
}

/// A place in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// A global variable; `None` for a lane's own memory.
    pub(super) global: Option<Handle<naga::GlobalVariable>>,
    pub(super) offset: usize,
}

impl Value {
    pub(super) fn words(&self) -> &[u32] {
        match self {
            Self::Words(words) => words,
            other => panic!("{other:?} is no value"),
        }
    }

    pub(super) fn word(&self) -> u32 {
        self.words()[0]
    }

    pub(super) fn place(&self) -> Place {
        match self {
            Self::Place(place) => *place,
            other => panic!("{other:?} is no place"),
        }
    }
}

/// A call of a function by some lanes.
pub(super) struct Frame<'m> {
    pub(super) function: &'m Function,
    pub(super) info: &'m FunctionInfo,
    /// Values of expressions. `// [expressions, lanes]`
    pub(super) values: Vec<Value>,
    /// `// [arguments, lanes]`
    pub(super) arguments: Vec<Vec<Value>>,
    /// Offsets of local variables in each lane's memory.
    pub(super) locals: Vec<usize>,
    results: Vec<Value>,
    breaks: Vec<Vec<usize>>,
    continues: Vec<Vec<usize>>,
}

/// A launch.
pub(super) struct Machine<'m> {
    pub(super) module: &'m Module,
    info: &'m ModuleInfo,
    pub(super) lanes: usize,
    pub(super) subgroups: Subgroups,
    pub(super) grid: [u32; 3],
    pub(super) workgroup: [u32; 3],
    number: u32,
    /// Barriers so far, for memory of workgroups and for storage.
    epochs: [u32; 2],
    /// By number of the global variable.
    pub(super) globals: Vec<Memory>,
    /// Private and local variables of each lane.
    pub(super) own: Vec<Vec<u8>>,
    pub(super) private: Vec<usize>,
    random: Random,
    pub(super) faults: BTreeSet<String>,
}

impl<'m> Machine<'m> {
    /// `globals` holds the content of bindings.
    pub(super) fn new(
        (module, info): (&'m Module, &'m ModuleInfo),
        (grid, globals): ([u32; 3], Vec<Memory>),
        subgroups: Subgroups,
        seed: u64,
    ) -> Self {
        let lanes = module.entry_points[0].workgroup_size.iter().product::<u32>() as usize;
        Self {
            module,
            info,
            lanes,
            subgroups,
            grid,
            workgroup: [0; 3],
            number: 0,
            epochs: [0; 2],
            globals,
            own: Vec::new(),
            private: Vec::new(),
            random: Random::new(seed),
            faults: BTreeSet::new(),
        }
    }

    /// Runs a workgroup, whose memory holds `poison` at first.
    pub(super) fn run(&mut self, workgroup: [u32; 3], poison: u8) {
        (self.workgroup, self.epochs) = (workgroup, [0; 2]);
        self.number += 1;
        let module = self.module;
        (self.own, self.private) = (vec![Vec::new(); self.lanes], vec![0; module.global_variables.len()]);
        for (handle, variable) in module.global_variables.iter() {
            let bytes = module.types[variable.ty].inner.try_size(module.to_ctx()).unwrap_or(0) as usize;
            match variable.space {
                AddressSpace::WorkGroup => self.globals[handle.index()] = Memory::new(vec![poison; bytes]),
                AddressSpace::Private => {
                    self.private[handle.index()] = self.own[0].len();
                    let end = (self.own[0].len() + bytes).next_multiple_of(16);
                    self.own.iter_mut().for_each(|own| own.resize(end, 0));
                }
                _ => {}
            }
        }
        let entry = &module.entry_points[0];
        let arguments = entry.function.arguments.iter().map(|argument| self.built_in(argument)).collect();
        let active = (0..self.lanes).collect();
        self.call((&entry.function, self.info.get_entry_point(0)), arguments, active);
    }

    fn call(
        &mut self,
        (function, info): (&'m Function, &'m FunctionInfo),
        arguments: Vec<Vec<Value>>,
        active: Vec<usize>,
    ) -> Vec<Value> {
        let start = self.own[0].len();
        let (mut end, mut locals) = (start, Vec::new());
        for (_, local) in function.local_variables.iter() {
            locals.push(end);
            let bytes = self.module.types[local.ty].inner.size(self.module.to_ctx()) as usize;
            end = (end + bytes).next_multiple_of(16);
        }
        self.own.iter_mut().for_each(|own| own.resize(end, 0));
        let values = vec![Value::Nothing; function.expressions.len() * self.lanes];
        let results = vec![Value::Nothing; self.lanes];
        let (breaks, continues) = (Vec::new(), Vec::new());
        let mut frame = Frame { function, info, values, arguments, locals, results, breaks, continues };
        for (index, (_, local)) in function.local_variables.iter().enumerate() {
            let Some(init) = local.init else { continue };
            for &lane in &active {
                let value = self.value(&frame, init, lane);
                let place = Place { global: None, offset: frame.locals[index] };
                self.store(lane, place, local.ty, value.words());
            }
        }
        self.block(&mut frame, &function.body, active);
        self.own.iter_mut().for_each(|own| own.truncate(start));
        frame.results
    }

    /// Executes a block. Returns the lanes that reach its end.
    fn block(&mut self, frame: &mut Frame<'m>, block: &'m Block, mut active: Vec<usize>) -> Vec<usize> {
        for statement in block {
            if active.is_empty() {
                break;
            }
            active = self.statement(frame, statement, active);
        }
        active
    }

    fn statement(&mut self, frame: &mut Frame<'m>, statement: &'m Statement, active: Vec<usize>) -> Vec<usize> {
        match statement {
            Statement::Emit(range) => {
                for expression in range.clone() {
                    for &lane in &active {
                        let value = self.evaluate(frame, expression, lane);
                        frame.values[expression.index() * self.lanes + lane] = value;
                    }
                }
            }
            Statement::Block(block) => return self.block(frame, block, active),
            Statement::If { condition, accept, reject } => {
                let holds = |lane: &usize| self.value(frame, *condition, *lane).word() != 0;
                let (yes, no): (Vec<_>, Vec<_>) = active.into_iter().partition(holds);
                let mut after = self.block(frame, accept, yes);
                after.extend(self.block(frame, reject, no));
                return after;
            }
            Statement::Switch { selector, cases } => return self.switch(frame, *selector, cases, active),
            Statement::Loop { body, continuing, break_if } => {
                return self.repeat(frame, (body, continuing, *break_if), active);
            }
            Statement::Break => {
                frame.breaks.last_mut().expect("a loop").extend(active);
                return Vec::new();
            }
            Statement::Continue => {
                frame.continues.last_mut().expect("a loop").extend(active);
                return Vec::new();
            }
            Statement::Return { value } => {
                for lane in active {
                    frame.results[lane] = value.map_or(Value::Nothing, |value| self.value(frame, value, lane));
                }
                return Vec::new();
            }
            Statement::ControlBarrier(barrier) => return self.barrier(*barrier, active),
            Statement::Store { pointer, value } => {
                for &lane in &active {
                    let (place, value) = (self.value(frame, *pointer, lane), self.value(frame, *value, lane));
                    self.store_at(frame, *pointer, (lane, place.place()), value.words());
                }
            }
            Statement::Call { function, arguments, result } => {
                let of_lane = |argument: Handle<Expression>, lane: usize| {
                    if active.contains(&lane) { self.value(frame, argument, lane) } else { Value::Nothing }
                };
                let of_lanes = |argument: &Handle<Expression>| -> Vec<Value> {
                    (0..self.lanes).map(|lane| of_lane(*argument, lane)).collect()
                };
                let arguments = arguments.iter().map(of_lanes).collect();
                let called = (&self.module.functions[*function], &self.info[*function]);
                let results = self.call(called, arguments, active.clone());
                self.keep(frame, *result, results.into_iter().enumerate(), &active);
            }
            Statement::Atomic { pointer, fun, value, result } => {
                for &lane in &active {
                    let old = self.atomic(frame, (*pointer, *fun), *value, lane);
                    self.keep(frame, *result, std::iter::once((lane, Value::Words(vec![old]))), &active);
                }
            }
            Statement::WorkGroupUniformLoad { pointer, result } => {
                let active = self.barrier(Barrier::WORK_GROUP, active);
                for &lane in &active {
                    let place = self.value(frame, *pointer, lane).place();
                    let value = self.load_at(frame, *pointer, lane, place);
                    frame.values[result.index() * self.lanes + lane] = value;
                }
                return self.barrier(Barrier::WORK_GROUP, active);
            }
            Statement::SubgroupCollectiveOperation { op, collective_op, argument, result } => {
                self.collect(frame, (*op, *collective_op), (*argument, *result), &active);
            }
            Statement::SubgroupGather { mode, argument, result } => {
                self.gather(frame, *mode, (*argument, *result), &active);
            }
            other => panic!("statement {other:?}"),
        }
        active
    }

    /// Sets the values of an expression in some lanes.
    fn keep(
        &self,
        frame: &mut Frame<'m>,
        result: Option<Handle<Expression>>,
        values: impl Iterator<Item = (usize, Value)>,
        active: &[usize],
    ) {
        let Some(result) = result else { return };
        for (lane, value) in values.filter(|(lane, _)| active.contains(lane)) {
            frame.values[result.index() * self.lanes + lane] = value;
        }
    }

    fn switch(
        &mut self,
        frame: &mut Frame<'m>,
        selector: Handle<Expression>,
        cases: &'m [naga::SwitchCase],
        mut active: Vec<usize>,
    ) -> Vec<usize> {
        frame.breaks.push(Vec::new());
        let (mut after, mut falling) = (Vec::new(), Vec::new());
        for case in cases {
            let is_it = |lane: &usize| match case.value {
                SwitchValue::Default => true,
                SwitchValue::U32(value) => self.value(frame, selector, *lane).word() == value,
                SwitchValue::I32(value) => self.value(frame, selector, *lane).word() == value.cast_unsigned(),
            };
            assert!(
                case.value != SwitchValue::Default || std::ptr::eq(case, &cases[cases.len() - 1]),
                "default is last"
            );
            let (mut own, others): (Vec<_>, Vec<_>) = active.into_iter().partition(is_it);
            active = others;
            own.append(&mut falling);
            let end = self.block(frame, &case.body, own);
            if case.fall_through { falling = end } else { after.extend(end) }
        }
        after.extend(frame.breaks.pop().unwrap_or_default());
        after.extend(active);
        after
    }

    fn repeat(
        &mut self,
        frame: &mut Frame<'m>,
        (body, continuing, break_if): (&'m Block, &'m Block, Option<Handle<Expression>>),
        mut active: Vec<usize>,
    ) -> Vec<usize> {
        frame.breaks.push(Vec::new());
        while !active.is_empty() {
            frame.continues.push(Vec::new());
            active = self.block(frame, body, active);
            active.extend(frame.continues.pop().unwrap_or_default());
            active = self.block(frame, continuing, active);
            let ends = |lane: &usize| break_if.is_some_and(|end| self.value(frame, end, *lane).word() != 0);
            let (ended, rest): (Vec<_>, Vec<_>) = active.into_iter().partition(ends);
            frame.breaks.last_mut().expect("this loop").extend(ended);
            active = rest;
        }
        frame.breaks.pop().unwrap_or_default()
    }

    /// Orders the accesses before and after it, which all lanes must reach together. Shuffles the lanes.
    fn barrier(&mut self, barrier: Barrier, mut active: Vec<usize>) -> Vec<usize> {
        if active.len() < self.lanes {
            self.faults.insert("a barrier that some lanes do not reach".into());
        }
        self.epochs[0] += u32::from(barrier.contains(Barrier::WORK_GROUP));
        self.epochs[1] += u32::from(barrier.contains(Barrier::STORAGE));
        for place in (1..active.len()).rev() {
            active.swap(place, self.random.bits() as usize % (place + 1));
        }
        active
    }

    /// Accesses the scalars of a value, and records it. Memory that nothing writes is not recorded.
    pub(super) fn access(
        &mut self,
        lane: usize,
        place: Place,
        ty: &naga::TypeInner,
        write: Option<&[u32]>,
    ) -> Vec<u32> {
        let mut parts = Vec::new();
        scalars(self.module, ty, place.offset, &mut parts);
        let Some(global) = place.global else {
            let own = &mut self.own[lane];
            return access(own, &parts, write);
        };
        let variable = &self.module.global_variables[global];
        let storage = match variable.space {
            AddressSpace::WorkGroup => Some(false),
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Some(true),
            _ => None,
        };
        if let Some(is_storage) = storage {
            let (epoch, is_atomic) = (self.epochs[usize::from(is_storage)], matches!(ty, naga::TypeInner::Atomic(_)));
            let access = Access { workgroup: self.number, epoch, lane: lane as u32, is_atomic };
            let memory = &mut self.globals[global.index()];
            let mut races = false;
            for &(offset, width) in &parts {
                races |= memory.touch(offset, width, access, write.is_some());
            }
            if races {
                self.faults.insert(format!("a race on {}", variable.name.as_deref().unwrap_or("?")));
            }
        }
        access(&mut self.globals[global.index()].bytes, &parts, write)
    }
}

fn access(bytes: &mut [u8], parts: &[(usize, usize)], write: Option<&[u32]>) -> Vec<u32> {
    use super::memory::{get, set};
    match write {
        None => parts.iter().map(|&(offset, width)| get(bytes, offset, width)).collect(),
        Some(words) => {
            parts.iter().zip(words).for_each(|(&(offset, width), &word)| set(bytes, offset, width, word));
            Vec::new()
        }
    }
}

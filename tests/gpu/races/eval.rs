//! Evaluation of expressions of a shader in one lane.

use naga::{
    AddressSpace, AtomicFunction, BinaryOperator, Binding, BuiltIn, CollectiveOperation, Direction, Expression,
    FunctionArgument, GatherMode, Handle, Literal, RelationalFunction, Scalar, ScalarKind, SubgroupOperation,
    TypeInner,
};

use super::machine::{Frame, Machine, Place, Value};
use super::math;
use super::memory::{column_stride, scalars};

/// The scalars that a value of a type consists of.
fn scalar_of(module: &naga::Module, inner: &TypeInner) -> Scalar {
    match *inner {
        TypeInner::Scalar(scalar)
        | TypeInner::Vector { scalar, .. }
        | TypeInner::Matrix { scalar, .. }
        | TypeInner::Atomic(scalar) => scalar,
        TypeInner::Array { base, .. } => scalar_of(module, &module.types[base].inner),
        _ => Scalar::U32,
    }
}

impl<'m> Machine<'m> {
    fn inner<'a>(&'a self, frame: &'a Frame<'m>, expression: Handle<Expression>) -> &'a TypeInner {
        frame.info[expression].ty.inner_with(&self.module.types)
    }

    fn scalar(&self, frame: &Frame<'m>, expression: Handle<Expression>) -> Scalar {
        scalar_of(self.module, self.inner(frame, expression))
    }

    /// The type that a pointer points to.
    fn pointee(&self, frame: &Frame<'m>, pointer: Handle<Expression>) -> TypeInner {
        match *self.inner(frame, pointer) {
            TypeInner::Pointer { base, .. } => self.module.types[base].inner.clone(),
            TypeInner::ValuePointer { size: Some(size), scalar, .. } => TypeInner::Vector { size, scalar },
            TypeInner::ValuePointer { size: None, scalar, .. } => TypeInner::Scalar(scalar),
            ref other => panic!("{other:?} is no pointer"),
        }
    }

    pub(super) fn load_at(&mut self, frame: &Frame<'m>, pointer: Handle<Expression>, lane: usize, at: Place) -> Value {
        let ty = self.pointee(frame, pointer);
        Value::Words(self.access(lane, at, &ty, None))
    }

    pub(super) fn store_at(
        &mut self,
        frame: &Frame<'m>,
        pointer: Handle<Expression>,
        (lane, at): (usize, Place),
        words: &[u32],
    ) {
        let ty = self.pointee(frame, pointer);
        self.access(lane, at, &ty, Some(words));
    }

    pub(super) fn store(&mut self, lane: usize, at: Place, ty: Handle<naga::Type>, words: &[u32]) {
        let module = self.module;
        self.access(lane, at, &module.types[ty].inner, Some(words));
    }

    /// The value of an expression that was evaluated before, or needs no evaluation.
    pub(super) fn value(&self, frame: &Frame<'m>, expression: Handle<Expression>, lane: usize) -> Value {
        let held = &frame.values[expression.index() * self.lanes + lane];
        if !matches!(held, Value::Nothing) {
            return held.clone();
        }
        match frame.function.expressions[expression] {
            Expression::FunctionArgument(index) => frame.arguments[index as usize][lane].clone(),
            Expression::LocalVariable(local) => {
                Value::Place(Place { global: None, offset: frame.locals[local.index()] })
            }
            Expression::GlobalVariable(global) => {
                let is_private = self.module.global_variables[global].space == AddressSpace::Private;
                let (global, offset) =
                    if is_private { (None, self.private[global.index()]) } else { (Some(global), 0) };
                Value::Place(Place { global, offset })
            }
            ref constant => Value::Words(self.constant(&frame.function.expressions, constant)),
        }
    }

    fn constant(&self, all: &naga::Arena<Expression>, expression: &Expression) -> Vec<u32> {
        match expression {
            Expression::Literal(literal) => vec![match *literal {
                Literal::F32(x) => x.to_bits(),
                Literal::F16(x) => u32::from(x.to_bits()),
                Literal::U32(x) => x,
                Literal::I32(x) => x.cast_unsigned(),
                Literal::Bool(x) => u32::from(x),
                other => panic!("literal {other:?}"),
            }],
            Expression::Constant(constant) => {
                let init = self.module.constants[*constant].init;
                self.constant(&self.module.global_expressions, &self.module.global_expressions[init])
            }
            Expression::ZeroValue(ty) => {
                let mut parts = Vec::new();
                scalars(self.module, &self.module.types[*ty].inner, 0, &mut parts);
                vec![0; parts.len()]
            }
            Expression::Compose { components, .. } => {
                components.iter().flat_map(|part| self.constant(all, &all[*part])).collect()
            }
            Expression::Splat { size, value } => vec![self.constant(all, &all[*value])[0]; *size as usize],
            other => panic!("{other:?} was not evaluated"),
        }
    }

    pub(super) fn evaluate(&mut self, frame: &Frame<'m>, expression: Handle<Expression>, lane: usize) -> Value {
        let of = |expression: Handle<Expression>| self.value(frame, expression, lane);
        Value::Words(match frame.function.expressions[expression] {
            Expression::Access { base, index } => {
                let index = of(index).word() as usize;
                return self.element(frame, (base, of(base)), index);
            }
            Expression::AccessIndex { base, index } => return self.element(frame, (base, of(base)), index as usize),
            Expression::Load { pointer } => {
                let place = of(pointer).place();
                return self.load_at(frame, pointer, lane, place);
            }
            Expression::Compose { ref components, .. } => {
                components.iter().flat_map(|part| of(*part).words().to_vec()).collect()
            }
            Expression::Splat { size, value } => vec![of(value).word(); size as usize],
            Expression::Swizzle { size, vector, pattern } => {
                let vector = of(vector);
                pattern[..size as usize].iter().map(|component| vector.words()[*component as usize]).collect()
            }
            Expression::Unary { op, expr } => {
                let scalar = self.scalar(frame, expr);
                of(expr).words().iter().map(|x| math::unary(op, *x, scalar)).collect()
            }
            Expression::Binary { op, left, right } => self.binary(frame, op, (left, right), lane),
            Expression::Select { condition, accept, reject } => {
                let (condition, accept, reject) = (of(condition), of(accept), of(reject));
                let of_component =
                    |index: usize| condition.words().get(index).copied().unwrap_or(condition.word()) != 0;
                let both = accept.words().iter().zip(reject.words()).enumerate();
                both.map(|(index, (yes, no))| if of_component(index) { *yes } else { *no }).collect()
            }
            Expression::Relational { fun, argument } => {
                let (x, scalar) = (of(argument), self.scalar(frame, argument));
                let words = x.words().iter();
                match fun {
                    RelationalFunction::All => vec![u32::from(x.words().iter().all(|x| *x != 0))],
                    RelationalFunction::Any => vec![u32::from(x.words().iter().any(|x| *x != 0))],
                    RelationalFunction::IsNan => words.map(|x| u32::from(math::float(*x, scalar).is_nan())).collect(),
                    RelationalFunction::IsInf => {
                        words.map(|x| u32::from(math::float(*x, scalar).is_infinite())).collect()
                    }
                }
            }
            Expression::Math { fun: naga::MathFunction::Transpose, arg, .. } => {
                let TypeInner::Matrix { rows, .. } = *self.inner(frame, arg) else { panic!("no matrix") };
                let (matrix, rows) = (of(arg), rows as usize);
                (0..rows).flat_map(|row| matrix.words().iter().skip(row).step_by(rows).copied()).collect()
            }
            Expression::Math { fun, arg, arg1, arg2, .. } => {
                let scalar = self.scalar(frame, arg);
                let args: Vec<Value> = [Some(arg), arg1, arg2].into_iter().flatten().map(of).collect();
                let component = |index: usize| -> Vec<u32> {
                    let of_arg = |arg: &Value| arg.words().get(index).copied().unwrap_or(arg.word());
                    args.iter().map(of_arg).collect()
                };
                let of_each = || (0..args[0].words().len()).map(|index| math::each(fun, &component(index), scalar));
                let second = args.get(1).map_or(&[][..], Value::words);
                of_each().collect::<Option<_>>().unwrap_or_else(|| math::whole(fun, args[0].words(), second, scalar))
            }
            Expression::As { expr, kind, convert } => {
                let from = self.scalar(frame, expr);
                let x = of(expr);
                let to = |width| Scalar { kind, width };
                convert.map_or(x.words().to_vec(), |width| {
                    x.words().iter().map(|x| math::convert(*x, from, to(width))).collect()
                })
            }
            Expression::ArrayLength(array) => {
                let place = of(array).place();
                let TypeInner::Array { stride, .. } = self.pointee(frame, array) else { panic!("no array") };
                let bytes = place.global.map_or(0, |global| self.globals[global.index()].bytes.len());
                vec![((bytes - place.offset) / stride as usize) as u32]
            }
            ref other => panic!("expression {other:?}"),
        })
    }

    /// A part of a value, or the place of a part.
    fn element(&self, frame: &Frame<'m>, (base, value): (Handle<Expression>, Value), index: usize) -> Value {
        let types = &self.module.types;
        if let Value::Place(place) = value {
            let offset = match self.pointee(frame, base) {
                TypeInner::Array { stride, .. } => index * stride as usize,
                TypeInner::Struct { members, .. } => members[index].offset as usize,
                TypeInner::Vector { scalar, .. } => index * usize::from(scalar.width),
                TypeInner::Matrix { rows, scalar, .. } => index * column_stride(rows, scalar.width),
                other => panic!("a part of {other:?}"),
            };
            return Value::Place(Place { offset: place.offset + offset, ..place });
        }
        let count = |ty: &TypeInner| {
            let mut parts = Vec::new();
            scalars(self.module, ty, 0, &mut parts);
            parts.len()
        };
        let (first, len) = match *self.inner(frame, base) {
            TypeInner::Vector { .. } => (index, 1),
            TypeInner::Matrix { rows, .. } => (index * rows as usize, rows as usize),
            TypeInner::Array { base, .. } => (index * count(&types[base].inner), count(&types[base].inner)),
            TypeInner::Struct { ref members, .. } => {
                let before = members[..index].iter().map(|member| count(&types[member.ty].inner)).sum();
                (before, count(&types[members[index].ty].inner))
            }
            ref other => panic!("a part of {other:?}"),
        };
        Value::Words(value.words()[first..first + len].to_vec())
    }

    fn binary(
        &self,
        frame: &Frame<'m>,
        op: BinaryOperator,
        (left, right): (Handle<Expression>, Handle<Expression>),
        lane: usize,
    ) -> Vec<u32> {
        let (scalar, a, b) = (self.scalar(frame, left), self.value(frame, left, lane), self.value(frame, right, lane));
        let (a, b) = (a.words(), b.words());
        let dot = |a: &mut dyn Iterator<Item = u32>, b: &[u32]| {
            let products = a.zip(b).map(|(a, b)| math::float(a, scalar) * math::float(*b, scalar));
            math::word(products.sum(), scalar)
        };
        match (op, self.inner(frame, left), self.inner(frame, right)) {
            (BinaryOperator::Multiply, &TypeInner::Matrix { rows, .. }, TypeInner::Vector { .. }) => {
                let rows = rows as usize;
                (0..rows).map(|row| dot(&mut a.iter().skip(row).step_by(rows).copied(), b)).collect()
            }
            (BinaryOperator::Multiply, TypeInner::Vector { .. }, TypeInner::Matrix { .. }) => {
                b.chunks_exact(a.len()).map(|column| dot(&mut column.iter().copied(), a)).collect()
            }
            (BinaryOperator::Multiply, TypeInner::Matrix { .. }, TypeInner::Matrix { .. }) => panic!("two matrices"),
            _ => {
                let at = |words: &[u32], index: usize| words.get(index).copied().unwrap_or(words[0]);
                let each = (0..a.len().max(b.len())).map(|index| (at(a, index), at(b, index)));
                each.map(|(a, b)| math::binary(op, a, b, scalar)).collect()
            }
        }
    }

    /// An atomic operation; returns the word before it.
    pub(super) fn atomic(
        &mut self,
        frame: &Frame<'m>,
        (pointer, fun): (Handle<Expression>, AtomicFunction),
        value: Handle<Expression>,
        lane: usize,
    ) -> u32 {
        let (place, value) = (self.value(frame, pointer, lane).place(), self.value(frame, value, lane).word());
        let old = self.load_at(frame, pointer, lane, place).word();
        let signed = self.scalar_at(frame, pointer) == ScalarKind::Sint;
        let new = match fun {
            AtomicFunction::Add => old.wrapping_add(value),
            AtomicFunction::Subtract => old.wrapping_sub(value),
            AtomicFunction::And => old & value,
            AtomicFunction::InclusiveOr => old | value,
            AtomicFunction::ExclusiveOr => old ^ value,
            AtomicFunction::Min if !signed => old.min(value),
            AtomicFunction::Max if !signed => old.max(value),
            AtomicFunction::Exchange { compare: None } => value,
            other => panic!("atomic {other:?}"),
        };
        self.store_at(frame, pointer, (lane, place), &[new]);
        old
    }

    fn scalar_at(&self, frame: &Frame<'m>, pointer: Handle<Expression>) -> ScalarKind {
        scalar_of(self.module, &self.pointee(frame, pointer)).kind
    }

    /// Values of a built-in argument of the entry point, of all lanes.
    pub(super) fn built_in(&self, argument: &FunctionArgument) -> Vec<Value> {
        if let TypeInner::Struct { members, .. } = &self.module.types[argument.ty].inner {
            let members: Vec<Vec<Vec<u32>>> = members.iter().map(|member| self.built_in_of(&member.binding)).collect();
            let of_lane = |lane: usize| Value::Words(members.iter().flat_map(|member| member[lane].clone()).collect());
            return (0..self.lanes).map(of_lane).collect();
        }
        self.built_in_of(&argument.binding).into_iter().map(Value::Words).collect()
    }

    fn built_in_of(&self, binding: &Option<Binding>) -> Vec<Vec<u32>> {
        let Some(Binding::BuiltIn(built_in)) = binding else { panic!("{binding:?}") };
        let [x, y, z] = self.module.entry_points[0].workgroup_size;
        let subgroups = &self.subgroups;
        let of_lane = |lane: usize| {
            let index = lane as u32;
            let local = [index % x, index / x % y, index / x / y];
            let (subgroup, own) = subgroups.places[lane];
            match built_in {
                BuiltIn::LocalInvocationIndex => vec![index],
                BuiltIn::LocalInvocationId => local.to_vec(),
                BuiltIn::WorkGroupId => self.workgroup.to_vec(),
                BuiltIn::NumWorkGroups => self.grid.to_vec(),
                BuiltIn::WorkGroupSize => vec![x, y, z],
                BuiltIn::GlobalInvocationId => {
                    (0..3).map(|axis| self.workgroup[axis] * [x, y, z][axis] + local[axis]).collect()
                }
                BuiltIn::SubgroupId => vec![subgroup as u32],
                BuiltIn::SubgroupInvocationId => vec![own as u32],
                BuiltIn::SubgroupSize => vec![subgroups.size as u32],
                BuiltIn::NumSubgroups => vec![self.lanes.div_ceil(subgroups.size) as u32],
                other => panic!("{other:?}"),
            }
        };
        (0..self.lanes).map(of_lane).collect()
    }

    /// The active lanes of each subgroup, in the order of their indices.
    fn active_subgroups(&mut self, active: &[usize]) -> Vec<Vec<usize>> {
        let mut all = vec![Vec::new(); self.lanes.div_ceil(self.subgroups.size)];
        for &lane in active {
            all[self.subgroups.places[lane].0].push(lane);
        }
        let places = &self.subgroups.places;
        for lanes in &mut all {
            lanes.sort_by_key(|lane| places[*lane].1);
        }
        for (subgroup, lanes) in all.iter().enumerate() {
            let whole = places.iter().filter(|place| place.0 == subgroup).count();
            if !lanes.is_empty() && lanes.len() < whole {
                self.faults.insert("a subgroup operation that some lanes do not reach".into());
            }
        }
        all
    }

    pub(super) fn collect(
        &mut self,
        frame: &mut Frame<'m>,
        (op, over): (SubgroupOperation, CollectiveOperation),
        (argument, result): (Handle<Expression>, Handle<Expression>),
        active: &[usize],
    ) {
        let scalar = self.scalar(frame, argument);
        let combine = |a: u32, b: u32| match op {
            SubgroupOperation::Add => math::binary(BinaryOperator::Add, a, b, scalar),
            SubgroupOperation::Max => math::each(naga::MathFunction::Max, &[a, b], scalar).expect("a maximum"),
            SubgroupOperation::Min => math::each(naga::MathFunction::Min, &[a, b], scalar).expect("a minimum"),
            other => panic!("{other:?}"),
        };
        for lanes in self.active_subgroups(active) {
            let values: Vec<Vec<u32>> =
                lanes.iter().map(|lane| self.value(frame, argument, *lane).words().to_vec()).collect();
            for (index, &lane) in lanes.iter().enumerate() {
                let range = match over {
                    CollectiveOperation::Reduce => 0..lanes.len(),
                    CollectiveOperation::InclusiveScan => 0..index + 1,
                    CollectiveOperation::ExclusiveScan => 0..index,
                };
                let mut own = values[range.clone()].iter().cloned();
                let first = own.next().unwrap_or_else(|| vec![0; values[0].len()]);
                let both = |a: Vec<u32>, b: Vec<u32>| a.iter().zip(&b).map(|(a, b)| combine(*a, *b)).collect();
                frame.values[result.index() * self.lanes + lane] = Value::Words(own.fold(first, both));
            }
        }
    }

    pub(super) fn gather(
        &mut self,
        frame: &mut Frame<'m>,
        mode: GatherMode,
        (argument, result): (Handle<Expression>, Handle<Expression>),
        active: &[usize],
    ) {
        for lanes in self.active_subgroups(active) {
            let values: Vec<Value> = lanes.iter().map(|lane| self.value(frame, argument, *lane)).collect();
            for (own, &lane) in lanes.iter().enumerate() {
                let index = |index: Handle<Expression>| self.value(frame, index, lane).word() as usize;
                let from = match mode {
                    GatherMode::BroadcastFirst => 0,
                    GatherMode::Broadcast(from) | GatherMode::Shuffle(from) => index(from),
                    GatherMode::ShuffleXor(mask) => own ^ index(mask),
                    GatherMode::QuadBroadcast(from) => own / 4 * 4 + index(from),
                    GatherMode::QuadSwap(Direction::X) => own ^ 1,
                    other => panic!("{other:?}"),
                };
                frame.values[result.index() * self.lanes + lane] = values.get(from).cloned().unwrap_or_default();
            }
        }
    }
}

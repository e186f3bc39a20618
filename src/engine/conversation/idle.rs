//! Idle conversations: what earlier requests left in the KV cache, found by its entries.

use super::Conversation;
use crate::engine::prompt::ContextEntry;
use crate::model::LanguageModel;

/// Conversations that nobody goes on with at the moment, the latest last. Their pages are the pool's to take: they hold what it has left
/// them.
#[derive(Debug)]
pub(in crate::engine) struct IdleConversations<M: LanguageModel>(Vec<Conversation<M>>);

impl<M: LanguageModel> Default for IdleConversations<M> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<M: LanguageModel> IdleConversations<M> {
    /// Gives all of them up.
    pub(in crate::engine) fn clear(&mut self) {
        self.0.clear();
    }

    /// Forgets what was taken from them.
    pub(in crate::engine) fn forget_evicted(&mut self) {
        self.0.iter_mut().for_each(Conversation::forget_evicted);
    }

    /// All of them, the latest first.
    pub(in crate::engine) fn latest_first(&self) -> impl Iterator<Item = &Conversation<M>> {
        self.0.iter().rev()
    }

    /// Has `current` be the conversation with most of what `wanted` begins with; the one so far rests. Where one goes on otherwise than
    /// `wanted` does, it rests too, and a fork of it shares what they have in common. No more than `most` rest.
    pub(in crate::engine) fn switch_to(&mut self, current: &mut Conversation<M>, wanted: &[ContextEntry], most: usize) {
        self.forget_evicted();
        let kept = |conversation: &Conversation<M>| conversation.kept_of(wanted);
        let others = self.0.iter().enumerate().map(|(index, other)| (index, kept(other)));
        let best = others.max_by_key(|(_, kept)| *kept).filter(|(_, other)| *other > kept(current));
        let source = best.map_or(&*current, |(index, _)| &self.0[index]);
        let next = match (kept(source), source.is_continued_by(wanted), best) {
            (0, false, _) => Conversation::default(),
            (_, false, _) => source.fork(),
            (_, true, Some((index, _))) => self.0.remove(index),
            (_, true, None) => return,
        };
        let mut before = std::mem::replace(current, next);
        before.rest();
        current.rewind(current.common(wanted), &[]);
        self.add(before, current);
        let surplus = self.0.len().saturating_sub(most);
        self.0.drain(..surplus);
    }

    /// Keeps a conversation as idle, unless another one begins with its entries.
    fn add(&mut self, conversation: Conversation<M>, current: &Conversation<M>) {
        let holds = |other: &Conversation<M>| other.entries().starts_with(conversation.entries());
        if !holds(current) && !self.0.iter().any(holds) {
            self.0.retain(|other| !conversation.entries().starts_with(other.entries()));
            self.0.push(conversation);
        }
    }
}

//! Idle conversations, which earlier requests left in the KV cache.

use super::Conversation;
use crate::engine::prompt::ContextEntry;
use crate::model::LanguageModel;

/// Conversations that no request uses, the most recent last. The pool may evict their pages.
#[derive(Debug)]
pub(in crate::engine) struct IdleConversations<M: LanguageModel>(Vec<Conversation<M>>);

impl<M: LanguageModel> Default for IdleConversations<M> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<M: LanguageModel> IdleConversations<M> {
    pub(in crate::engine) fn clear(&mut self) {
        self.0.clear();
    }

    pub(in crate::engine) fn forget_evicted(&mut self) {
        self.0.iter_mut().for_each(Conversation::forget_evicted);
    }

    pub(in crate::engine) fn latest_first(&self) -> impl Iterator<Item = &Conversation<M>> {
        self.0.iter().rev()
    }

    /// Replaces `current` by the conversation with the longest cached prefix of `wanted`. The former one becomes idle; so does the new
    /// one's source if it diverges from `wanted`, and a fork shares their prefix. At most `most` conversations stay idle.
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

    /// Adds an idle conversation, unless another one begins with its entries.
    fn add(&mut self, conversation: Conversation<M>, current: &Conversation<M>) {
        let holds = |other: &Conversation<M>| other.entries().starts_with(conversation.entries());
        if !holds(current) && !self.0.iter().any(holds) {
            self.0.retain(|other| !conversation.entries().starts_with(other.entries()));
            self.0.push(conversation);
        }
    }
}

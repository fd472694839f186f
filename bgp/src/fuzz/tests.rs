//! The committed corpus, replayed.

use super::{machine, messages, replay, update};

#[test]
fn the_corpus_of_messages_holds() {
    assert!(replay("messages", messages) > 20);
}

#[test]
fn the_corpus_of_updates_holds() {
    assert!(replay("update", update) > 20);
}

#[test]
fn the_corpus_of_the_state_machine_holds() {
    assert!(replay("machine", machine) > 20);
}

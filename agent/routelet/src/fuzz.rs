//! The fuzz targets of the agent as plain functions; see [`bgp::fuzz`].

pub use routelet_core::fuzz::manifests;

pub use crate::sources::api::fuzz::objects;

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_of_objects_holds() {
        assert!(bgp::fuzz::replay("objects", super::objects) > 20);
    }
}

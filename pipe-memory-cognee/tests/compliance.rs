//! Every memory of this crate keeps the contract, offline.

mod local {
    use pipe_memory_cognee::LocalMemory;

    async fn local() -> Option<(LocalMemory, ())> {
        Some((LocalMemory::new(), ()))
    }

    pipe_testkit::memory_compliance!(local);
}

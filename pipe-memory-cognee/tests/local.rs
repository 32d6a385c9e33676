//! What the memory in the process does beyond the contract: files and bounds.

use std::path::PathBuf;

use pipe_core::ErrorKind;
use pipe_core::memory::{DataPoint, Domain, GovernanceMemory, MemoryKey, Relation, SearchQuery};
use pipe_memory_cognee::LocalMemory;

/// A directory of one test, which is removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pipe-memory-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the directory can be made");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("memory.json")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn domain(name: &str) -> DataPoint {
    Domain::new(MemoryKey::new(name).expect("legal")).with_description("cards").into()
}

#[tokio::test]
async fn what_was_saved_is_known_again() {
    let directory = Directory::new("saved");
    let memory = LocalMemory::new();
    let points = [domain("payments"), domain("ledger")];
    let feeds = Relation::new(points[0].id(), "feeds", points[1].id()).expect("legal");
    memory.add_datapoints(&points, &[feeds]).await.expect("there is room");
    memory.save(directory.file()).await.expect("the file can be written");
    let restarted = LocalMemory::new();
    restarted.load(directory.file()).await.expect("the file can be read");
    let query = SearchQuery::new("cards");
    let before = memory.search_integrations(&query).await.expect("the search");
    assert_eq!(before.len(), 2);
    assert_eq!(restarted.search_integrations(&query).await.expect("the search"), before);
}

/// As a save now and then and one at the end may be.
#[tokio::test]
async fn saves_at_once_leave_one_whole_file() {
    let directory = Directory::new("at-once");
    let (small, large) = (LocalMemory::new(), LocalMemory::new());
    small.add_datapoints(&[domain("a")], &[]).await.expect("there is room");
    let points: Vec<_> = (0..2000).map(|i| domain(&format!("domain{i}"))).collect();
    large.add_datapoints(&points, &[]).await.expect("there is room");
    for _ in 0..20 {
        let saved = tokio::join!(small.save(directory.file()), large.save(directory.file()));
        assert!(saved.0.is_ok() && saved.1.is_ok(), "{saved:?}");
        let read = LocalMemory::new();
        read.load(directory.file()).await.expect("the file is whole");
        assert!([1, 2000].contains(&read.len()), "{}", read.len());
    }
    let files = std::fs::read_dir(&directory.0).expect("the directory").count();
    assert_eq!(files, 1, "something was left behind");
}

#[tokio::test]
async fn a_file_that_is_not_there_holds_nothing() {
    let directory = Directory::new("absent");
    let memory = LocalMemory::new();
    memory.load(directory.file()).await.expect("nothing to load");
    assert!(memory.is_empty());
}

#[tokio::test]
async fn a_file_of_somebody_else_is_refused_and_not_shown() {
    let directory = Directory::new("foreign");
    std::fs::write(directory.file(), r#"{"format":"canary"}"#).expect("the file can be written");
    let error = LocalMemory::new().load(directory.file()).await.expect_err("not a memory");
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn a_full_memory_takes_nothing_new_and_still_changes_what_it_has() {
    let memory = LocalMemory::new().with_capacity(2);
    memory.add_datapoints(&[domain("a"), domain("b")], &[]).await.expect("there is room");
    let error = memory.add_datapoints(&[domain("a"), domain("c")], &[]).await.expect_err("full");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(memory.len(), 2);
    memory.add_datapoints(&[domain("a"), domain("b")], &[]).await.expect("nothing is new");
}

/// The index is made anew now and then, and answers the same.
#[tokio::test]
async fn a_data_point_that_changes_often_is_found_as_it_is_now() {
    let memory = LocalMemory::new();
    for i in 0..20 {
        let key = MemoryKey::new("a").expect("legal");
        let changed = Domain::new(key).with_description(format!("word{i}")).into();
        memory.add_datapoints(&[changed], &[]).await.expect("there is room");
    }
    let hits = |word: &str| {
        let query = SearchQuery::new(word);
        let memory = memory.clone();
        async move { memory.search_integrations(&query).await.expect("the search").len() }
    };
    assert_eq!((hits("word19").await, hits("word18").await), (1, 0));
}

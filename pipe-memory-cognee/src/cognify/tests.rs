use super::*;

const RUN: &str = "38d19e5a-0000-4000-8000-000000000001";

fn row(status: &str, class: Value) -> Value {
    json!({"pipeline_run_id": RUN, "status": status, "error_class": class,
        "tokens_in": 4, "tokens_out": null, "embedding_tokens": 0})
}

#[test]
fn a_run_ends_with_the_row_that_says_so() {
    let started = row("DATASET_PROCESSING_STARTED", Value::Null);
    let completed = row("DATASET_PROCESSING_COMPLETED", Value::Null);
    let tokens = Tokens { input: Some(4), output: None, embedding: Some(0) };
    assert_eq!(end_of(std::slice::from_ref(&started), RUN), None);
    assert_eq!(end_of(&[completed.clone(), started.clone()], RUN), Some(End::Completed(tokens)));
    assert_eq!(end_of(std::slice::from_ref(&completed), "another"), None);
    assert_eq!(going_on(std::slice::from_ref(&started)).as_deref(), Some(RUN));
    assert_eq!(going_on(&[completed, started]), None);
    assert_eq!(going_on(&[]), None);
}

#[test]
fn a_class_that_could_be_a_text_is_not_told() {
    for class in [json!("a text"), json!("x".repeat(65)), json!(["a"]), Value::Null] {
        let rows = [row("DATASET_PROCESSING_ERRORED", class)];
        assert_eq!(end_of(&rows, RUN), Some(End::Failed(None)));
    }
}

#[test]
fn a_class_says_whether_another_attempt_may_help() {
    let table = [
        (Some("RateLimitError"), ErrorKind::RateLimited),
        (Some("APITimeoutError"), ErrorKind::Timeout),
        (Some("APIConnectionError"), ErrorKind::Unavailable),
        (Some("AbandonedPipelineRunError"), ErrorKind::Unavailable),
        (Some("AuthenticationError"), ErrorKind::Unexpected),
        (None, ErrorKind::Unexpected),
    ];
    for (class, kind) in table {
        let error = failed(RUN, class, Some("extract_graph"));
        assert_eq!(error.kind(), kind, "{class:?}");
        assert_eq!(error.context("error_class"), class);
        assert_eq!(error.context("run"), Some(RUN));
        assert_eq!(error.context("stage"), Some("extract_graph"));
    }
}

#[test]
fn progress_is_read_where_there_is_some() {
    let progress = json!({"completed_items": 1, "total_items": 2, "current_stage": "a stage"});
    let expected = CognifyProgress { completed: 1, total: 2, stage: None };
    assert_eq!(progress_of(&progress), Some(expected));
    assert_eq!(progress_of(&Value::Null), None);
}

//! A million operations through the full stack: `soak [OPERATIONS] [SEED]`.

use std::process::ExitCode;

use pipe_bench::soak::{Soak, run};

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let (Ok(operations), Ok(seed)) =
        (arguments.next().unwrap_or(Ok(1_000_000)), arguments.next().unwrap_or(Ok(42)))
    else {
        eprintln!("usage: soak [OPERATIONS] [SEED]");
        return ExitCode::from(2);
    };
    let folder = std::env::temp_dir().join(format!("pipe-soak-{}", std::process::id()));
    let outcome = match std::fs::create_dir_all(&folder) {
        Ok(()) => run(Soak::new(operations, seed), &folder).await.map_err(|e| e.to_string()),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    };
    let _ = std::fs::remove_dir_all(&folder);
    let faults = match outcome {
        Ok(outcome) => {
            println!("{outcome}");
            outcome.faults()
        }
        Err(error) => vec![error],
    };
    for fault in &faults {
        println!("FALLS SHORT: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

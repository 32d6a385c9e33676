//! Forms with files, and the tar files in them.

use std::collections::BTreeMap;

/// The parts of a multipart form, by name.
pub(super) fn parts(content_type: &str, body: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let (_, boundary) = content_type.split_once("boundary=")?;
    let mark = format!("--{boundary}");
    let mut parts = BTreeMap::new();
    let mut rest = &body[find(body, mark.as_bytes())? + mark.len()..];
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        let end = find(after, format!("\r\n{mark}").as_bytes())?;
        let part = &after[..end];
        let head_end = find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&part[..head_end]).ok()?;
        let (_, name) = head.split_once(" name=\"")?;
        let (name, _) = name.split_once('"')?;
        parts.insert(name.to_owned(), part[head_end + 4..].to_vec());
        rest = &after[end + 2 + mark.len()..];
    }
    rest.starts_with(b"--").then_some(parts)
}

/// The files of a tar file, by name.
pub(super) fn files(tar: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    const BLOCK: usize = 512;
    let mut files = BTreeMap::new();
    let mut rest = tar;
    while let Some((header, after)) = rest.split_at_checked(BLOCK) {
        if header[0] == 0 {
            return Some(files);
        }
        let text = |from: usize, to: usize| {
            let field = header[from..to].split(|byte| *byte == 0).next()?;
            std::str::from_utf8(field).ok()
        };
        let size = usize::from_str_radix(text(124, 136)?.trim(), 8).ok()?;
        files.insert(text(0, 100)?.to_owned(), after.get(..size)?.to_vec());
        rest = after.get(size.next_multiple_of(BLOCK)..)?;
    }
    None
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

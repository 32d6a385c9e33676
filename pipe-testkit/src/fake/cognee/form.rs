//! Forms with files, and the tar files in them.

use std::collections::BTreeMap;

/// A part of a form.
struct Part<'a> {
    name: &'a str,
    file: Option<&'a str>,
    content: &'a [u8],
}

/// Files that were uploaded, and the other parts of their form.
pub(super) struct Uploads {
    pub(super) fields: BTreeMap<String, String>,
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// The parts of a multipart form, by name.
pub(super) fn parts(content_type: &str, body: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let parts = all_parts(content_type, body)?.into_iter();
    Some(parts.map(|part| (part.name.to_owned(), part.content.to_vec())).collect())
}

/// The files of a multipart form, and its other parts.
pub(super) fn uploads(content_type: &str, body: &[u8]) -> Option<Uploads> {
    let mut uploads = Uploads { fields: BTreeMap::new(), files: Vec::new() };
    for part in all_parts(content_type, body)? {
        match part.file {
            Some(file) => uploads.files.push((file.to_owned(), part.content.to_vec())),
            None => {
                let text = String::from_utf8_lossy(part.content).into_owned();
                uploads.fields.insert(part.name.to_owned(), text);
            }
        }
    }
    Some(uploads)
}

fn all_parts<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let (_, boundary) = content_type.split_once("boundary=")?;
    let mark = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut rest = &body[find(body, mark.as_bytes())? + mark.len()..];
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        let end = find(after, format!("\r\n{mark}").as_bytes())?;
        let part = &after[..end];
        let head_end = find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&part[..head_end]).ok()?;
        let field = |name: &str| Some(head.split_once(name)?.1.split_once('"')?.0);
        let (name, file) = (field(" name=\"")?, field(" filename=\""));
        parts.push(Part { name, file, content: &part[head_end + 4..] });
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

//! `performance.md`: prose by people around regions that the commands write.
//!
//! A region stands between `<!-- NAME -->` and `<!-- end of NAME -->`, each on a line of its own.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

/// Replaces the regions of the page in `folder`; a page that isn't there is begun.
pub(super) fn write(folder: &Path, regions: &[(&str, String)]) -> anyhow::Result<()> {
    let path = folder.join("performance.md");
    let mut page = if path.exists() {
        fs::read_to_string(&path).context("read performance.md")?
    } else {
        let empty = regions.iter().map(|(name, _)| [begin(name), end(name), String::new()]);
        empty.flatten().collect::<Vec<_>>().join("\n\n")
    };
    for (name, text) in regions {
        page = replaced(&page, name, text)?;
    }
    fs::write(&path, page).context("write performance.md")
}

fn replaced(page: &str, name: &str, text: &str) -> anyhow::Result<String> {
    let (begin, end) = (begin(name), end(name));
    let from = page.find(&begin).with_context(|| format!("performance.md lacks {begin}"))?;
    let to = page.find(&end).with_context(|| format!("performance.md lacks {end}"))?;
    ensure!(from < to, "{begin} stands behind {end} in performance.md");
    let (before, after) = (&page[..from], &page[to..]);
    Ok(format!("{before}{begin}\n{}\n{after}", text.trim_end()))
}

fn begin(name: &str) -> String {
    format!("<!-- {name} -->")
}

fn end(name: &str) -> String {
    format!("<!-- end of {name} -->")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_replaced_and_the_rest_is_left() {
        let page = "prose\n<!-- marks -->\nold\n<!-- end of marks -->\nmore\n";
        let new = replaced(page, "marks", "| new |\n").unwrap();
        assert_eq!(new, "prose\n<!-- marks -->\n| new |\n<!-- end of marks -->\nmore\n");
        assert_eq!(replaced(&new, "marks", "| new |\n").unwrap(), new);
        assert!(replaced(page, "matrix", "").is_err());
    }

    #[test]
    fn a_page_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("marks", "a".into()), ("matrix", "b".into())]).unwrap();
        let page = fs::read_to_string(folder.path().join("performance.md")).unwrap();
        assert!(page.contains("<!-- marks -->\na\n") && page.contains("<!-- matrix -->\nb\n"));
    }
}

//! `ocelli convert`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;
use ocelli_score::convert::{Converted, FORMATS, Request, convert};

use super::Ended;
use super::output;

/// Turn annotations of one format into another.
///
/// What the target format cannot hold is left out, and named with its number. Formats:
///
/// coco, lvis (JSON), voc (folder of XML files), openimages (CSV), yolo (folder of text files), wider (text file), imglab
/// (XML, read only); activitynet (JSON) and thumos (folder of text files) for actions in videos; charades-sta (text file)
/// and charades-cg (JSON, as of ActivityNet Captions) for moments that sentences describe.
#[derive(Debug, Args)]
pub(super) struct Convert {
    /// The file or folder to read.
    input: PathBuf,
    /// The file or folder to write.
    output: PathBuf,
    /// The format of the input.
    #[arg(long, value_name = "FORMAT", value_parser = formats(false))]
    from: String,
    /// The format of the output.
    #[arg(long, value_name = "FORMAT", value_parser = formats(true))]
    to: String,
    /// The folder of the pictures, whose sizes are read where the input does not give them.
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// The names of the formats, or of those that can be written.
fn formats(written: bool) -> PossibleValuesParser {
    let known = FORMATS.iter().filter(|format| format.writes || !written);
    PossibleValuesParser::new(known.map(|format| format.name))
}

impl Convert {
    pub(super) fn run(self) -> Ended {
        let Self { input, output, from, to, images: pictures, json } = self;
        let request = Request { from, to, input, output, pictures };
        let done = convert(&request)?;
        if json {
            output::json(&done)?;
            return Ok(ExitCode::SUCCESS);
        }
        let Converted { images, objects, categories, losses } = done;
        let file = request.output.display();
        output::line(format!(
            "{file}: {images} images or videos, {objects} objects, segments or sentences, {categories} categories"
        ))?;
        losses.iter().for_each(|loss| output::note(format!("not in {}: {loss}", request.to)));
        Ok(ExitCode::SUCCESS)
    }
}

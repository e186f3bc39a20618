"""Reads alternative texts in copies of pictures by Pillow and exiftool, and compares everything else with the pictures before.

    OCELLI_COPIES=/tmp/copies node test.mjs embed -t "read back"
    OCELLI_BROWSER=Chromium OCELLI_SCENES=1000 OCELLI_KILLS=20 OCELLI_COPIES=/tmp/copies node test.mjs album-real
    python3 test/readers.py /tmp/copies

It needs Pillow, and exiftool in the PATH or in EXIFTOOL; the tests do without them.
"""

import json
import os
import pathlib
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import PIL
from PIL import Image, ImageSequence

IPTC = "{http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
NAMES = {"AltTextAccessibility": "alt", "ExtDescrAccessibility": "long"}
EXIFTOOL = shlex.split(os.environ.get("EXIFTOOL", "exiftool"))


def pillow_texts(path):
    """The texts by property and language, in the packet that Pillow finds."""
    with Image.open(path) as image:
        found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    packet = found.encode() if isinstance(found, str) else found
    root = ElementTree.fromstring(packet.strip(b"\0 \n")) if packet else ElementTree.Element("none")
    return {
        name: {item.get(LANGUAGE): item.text for item in root.iterfind(f".//{IPTC}{name}/{RDF}Alt/{RDF}li")} for name in NAMES
    }


def frames(path):
    """All that Pillow decodes: pixels of every frame, their times, the Exif tags and the profile."""
    with Image.open(path) as image:
        decoded = [(frame.mode, frame.size, frame.tobytes(), frame.info.get("duration")) for frame in ImageSequence.Iterator(image)]
        return decoded, dict(image.getexif()), image.info.get("icc_profile"), image.info.get("dpi")


def decodes(path):
    try:
        frames(path)
        return True
    except OSError:
        return False


def exiftool(folder, *options):
    """Tags of all files of a folder, by the name of the file."""
    out = subprocess.run([*EXIFTOOL, "-j", *options, str(folder)], capture_output=True, check=False, text=True).stdout
    return {pathlib.Path(tags["SourceFile"]).name: tags for tags in json.loads(out or "[]")}


def own_tags(tags):
    """All tags of exiftool except those of the packet, of the file itself, and of offsets within it."""
    own = ("SourceFile", "ExifTool:", "System:", "File:", "XMP-", "Composite:", "MPF0:", "MPImage", "RIFF:WebP_Flags")
    return {name: value for name, value in tags.items() if not name.startswith(own)}


def warnings(tags):
    return {str(value) for name, value in tags.items() if name in ("Warning", "Error")}


def passes(holds, before, after):
    """A file that cannot be read fails."""
    try:
        return holds(before, after)
    except OSError:
        return False


def expected(texts):
    """The texts of a file by property and language. An empty text is not written."""
    return {
        name: {language: texts[key] for language in ("x-default", texts["language"])} if texts[key] else {} for name, key in NAMES.items()
    }


def main(folder):
    told = json.loads((folder / "texts.json").read_text())
    files = sorted((folder / "after").iterdir())
    texts = {path.name: told["files"][path.name] if "files" in told else told for path in files}
    parts = ("before", "after")
    packets = exiftool(folder / "after", "-XMP-iptcCore:all", *{f"-XMP-iptcCore:all-{each['language']}" for each in texts.values()})
    tags = {part: exiftool(folder / part, "-G1", "-a", "-u") for part in parts}
    warned = {part: exiftool(folder / part, "-validate", "-warning", "-error", "-a") for part in parts}

    def exiftool_texts(name):
        languages = (("x-default", ""), (texts[name]["language"], f"-{texts[name]['language']}"))
        found = packets.get(name, {})
        return {tag: {key: found[tag + end] for key, end in languages if tag + end in found} for tag in NAMES}

    checks = {
        "Pillow reads the texts": lambda before, after: pillow_texts(after) == expected(texts[after.name]),
        "Pillow decodes the same pixels, Exif and profile": lambda before, after: frames(before) == frames(after),
        "exiftool reads the texts": lambda _, after: exiftool_texts(after.name) == expected(texts[after.name]),
        "exiftool reads the same other tags": lambda _, after: own_tags(tags["before"][after.name]) == own_tags(tags["after"][after.name]),
        "exiftool warns of nothing new": lambda _, after: warnings(warned["after"].get(after.name, {}))
        <= warnings(warned["before"].get(after.name, {})),
    }
    version = subprocess.run([*EXIFTOOL, "-ver"], capture_output=True, check=True, text=True).stdout.strip()
    readable = [path for path in files if decodes(folder / "before" / path.name)]
    faults = 0
    print(f"Pillow {PIL.__version__}, exiftool {version}, {len(files)} files")
    for what, holds in checks.items():
        compared = readable if "decodes" in what else files
        wrong = [path.name for path in compared if not passes(holds, folder / "before" / path.name, path)]
        faults += len(wrong)
        print(f"{what}: {len(compared) - len(wrong)} of {len(compared)}{', not ' + ', '.join(wrong) if wrong else ''}")
    return faults > 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))

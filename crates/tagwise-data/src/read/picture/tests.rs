use super::*;

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    file: String,
    size: (usize, usize),
    channels: usize,
    pixels: Vec<u8>,
    grey: Vec<u8>,
    tolerance: u8,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/golden/pillow_pictures.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().as_chunks::<2>().0.iter();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

fn refusal(bytes: &[u8]) -> String {
    let error = Picture::from_bytes(bytes, "a.png".as_ref()).unwrap_err();
    error.to_string()
}

/// A chunk of a PNG file with its checksum.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let length = (data.len() as u32).to_be_bytes();
    [&length[..], &body, &crc.sum().to_be_bytes()].concat()
}

fn png_of(size: (u32, u32), color: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let header = [
        &size.0.to_be_bytes()[..],
        &size.1.to_be_bytes(),
        &[8, color, 0, 0, 0],
    ]
    .concat();
    let start = [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header)].concat();
    [start, chunks.concat(), chunk(b"IEND", &[])].concat()
}

/// Files of many kinds and what Pillow makes of them, see `tests/golden/pillow_pictures.py`.
#[test]
fn pictures_are_those_of_pillow() {
    let cases = cases();
    assert_eq!(cases.len(), 24);
    for case in cases {
        let picture = Picture::from_bytes(&bytes(&case.file), case.name.as_ref()).unwrap();
        let (height, width) = case.size;
        let wanted = [(case.channels, &case.pixels), (1, &case.grey)];
        for (channels, expected) in wanted {
            let shape = ImageShape::new(height, width, channels);
            let image = picture.clone().into_image(shape);
            let differences = image.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
            let largest = differences.max().unwrap();
            assert_eq!(image.len(), expected.len(), "{}", case.name);
            assert!(
                largest <= case.tolerance,
                "{}: {largest} in {channels}",
                case.name
            );
        }
    }
}

#[test]
fn grey_becomes_colour_and_a_turned_picture_is_resized_upright() {
    let turned = |case: &Case| case.name == "PNG turned 6";
    let case = cases().into_iter().find(turned).unwrap();
    let picture = Picture::from_bytes(&bytes(&case.file), "turned.png".as_ref()).unwrap();
    assert_eq!(picture.shape(), ImageShape::new(9, 14, 1));
    let colour = picture.clone().into_image(ImageShape::new(14, 9, 3));
    assert!(
        colour
            .as_chunks::<3>()
            .0
            .iter()
            .zip(&case.pixels)
            .all(|(rgb, &grey)| rgb == &[grey; 3])
    );
    let small = picture.into_image(ImageShape::new(7, 4, 1));
    let upright = resize::lanczos(&case.pixels, ImageShape::new(14, 9, 1), (7, 4));
    let largest = small
        .iter()
        .zip(&upright)
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(
        largest <= Some(1),
        "rows and columns are filtered in the other order"
    );
}

#[test]
fn what_a_file_declares_is_not_trusted() {
    let huge = png_of((200_000, 200_000), 2, &[chunk(b"IDAT", &[0; 20])]);
    insta::assert_snapshot!(refusal(&huge), @"a.png: expected an image of 1 to 100 million pixels, found one of 200000 x 200000");
    let hollow = png_of((5000, 4000), 2, &[chunk(b"IDAT", &[0; 20])]);
    insta::assert_snapshot!(refusal(&hollow), @"a.png: expected a whole image of 5000 x 4000 pixels, found a file of 77 bytes, which cannot hold so many; copy the file again");
    let empty = png_of((0, 4), 2, &[]);
    insta::assert_snapshot!(refusal(&empty), @"a.png: expected a PNG image, found damage: Invalid image dimensions");
    let large_jpeg = [
        &b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00"[..],
        b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\xff\xd9",
    ];
    insta::assert_snapshot!(refusal(&large_jpeg.concat()), @"a.png: expected an image of 1 to 100 million pixels, found one of 65535 x 65535");
    let hollow_jpeg = [
        &b"\xff\xd8\xff\xc0\x00\x0b\x08\x10\x00\x10\x00\x01\x01\x11\x00"[..],
        b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\xff\xd9",
    ];
    insta::assert_snapshot!(refusal(&hollow_jpeg.concat()), @"a.png: expected a whole image of 4096 x 4096 pixels, found a file of 27 bytes, which cannot hold so many; copy the file again");
}

#[test]
fn palettes_of_broken_length_are_refused() {
    let pixels = || {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &[0, 0, 0, 0, 0, 0]).unwrap();
        chunk(b"IDAT", &encoder.finish().unwrap())
    };
    let with = |palette: &[u8]| png_of((2, 2), 3, &[chunk(b"PLTE", palette), pixels()]);
    Picture::from_bytes(&with(&[1, 2, 3]), "a.png".as_ref()).unwrap();
    insta::assert_snapshot!(refusal(&with(&[0, 0, 0, 0])), @"a.png: expected a PNG palette of 1 to 256 colours of 3 bytes, found 4 bytes; save the image anew");
    insta::assert_snapshot!(refusal(&with(&[0; 3 * 257])), @"a.png: expected a PNG image, found damage: Chunk length wrong: ChunkType { type: PLTE, critical: true, private: false, reserved: false, safecopy: false }");
    insta::assert_snapshot!(refusal(&with(&[])), @"a.png: expected a PNG image, found damage: Chunk length wrong: ChunkType { type: PLTE, critical: true, private: false, reserved: false, safecopy: false }");
    insta::assert_snapshot!(refusal(&png_of((2, 2), 3, &[pixels()])), @"a.png: expected a PNG image, found damage: Missing palette of indexed image.");
}

#[test]
fn files_cut_off_anywhere_and_other_files_are_refused() {
    for case in cases() {
        let file = bytes(&case.file);
        // The last bytes of a PNG only say that it ends.
        let needed = file.len() - if case.name.contains("JPEG") { 2 } else { 13 };
        for length in (0..needed).step_by(7).chain([needed - 1]) {
            let cut = Picture::from_bytes(&file[..length], "a.png".as_ref());
            assert!(cut.is_err(), "{} of {length} bytes", case.name);
        }
    }
    insta::assert_snapshot!(refusal(b""), @"a.png: expected a PNG or JPEG image, found an empty file");
    insta::assert_snapshot!(refusal(b"GIF89a"), @"a.png: expected a PNG or JPEG image, found another kind of file; save it as one of these");
}

#[test]
fn damaged_files_never_panic() {
    for case in cases() {
        let file = bytes(&case.file);
        for place in (0..file.len()).step_by(3) {
            let mut damaged = file.clone();
            damaged[place] ^= 0x5a;
            let _ = Picture::from_bytes(&damaged, "a.png".as_ref());
        }
    }
}

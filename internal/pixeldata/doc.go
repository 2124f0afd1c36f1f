// Package pixeldata knows how the pixels of an instance are laid out and what they
// mean. It knows nothing of storage: a [Layout] says which bytes of a PS3.10 file make
// up a frame, and whoever holds the file reads them.
//
// The way of a frame: at ingest [NewLayout] looks at the header once and notes where
// the frames lie; the index keeps that, packed by [Layout.Pack]. When a viewer asks for
// frame n, [Layout.Frame] gives the ranges, usually one, and they are sent as they
// are. Only a request for a rendered image decodes them.
//
// [Render] does that, for native pixel data, 8-bit JPEG and RLE. The header is checked
// first and gives the format of the cells, and the view gives the sizes; nothing is
// allocated before both make sense. A compressed frame is then made a native one. The
// native frame goes by row for row: cells become stored values, a painter makes 8-bit
// samples of them (for gray through one table that holds modality, window and inversion
// together), and a reducer averages blocks of them where the picture is smaller than
// the frame. What is left is converted to RGB, scaled to its final size and mirrored.
package pixeldata

// Package pixeldata knows how the pixels of an instance are laid out and what they
// mean. It knows nothing of storage: a [Layout] says which bytes of a PS3.10 file make
// up a frame, and whoever holds the file reads them.
//
// The way of a frame: at ingest [NewLayout] looks at the header once and notes where
// the frames lie; the index keeps that, packed by [Layout.Pack]. When a viewer asks for
// frame n, [Layout.Frame] gives the ranges, usually one, and they are sent as they
// are. Only a request for a rendered image decodes them.
package pixeldata

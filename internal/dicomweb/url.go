package dicomweb

import "pharos/internal/dicom"

// address is the URL of a study, series or instance.
func (s *server) address(ref dicom.Ref) string {
	return string(s.appendAddress(make([]byte, 0, len(s.service)+230), ref))
}

// appendAddress needs no escaping: UIDs are digits and dots.
func (s *server) appendAddress(b []byte, ref dicom.Ref) []byte {
	b = append(b, s.service...)
	b = append(b, "/studies/"...)
	b = append(b, ref.Study...)
	if ref.Series == "" {
		return b
	}
	b = append(b, "/series/"...)
	b = append(b, ref.Series...)
	if ref.Instance == "" {
		return b
	}
	b = append(b, "/instances/"...)
	return append(b, ref.Instance...)
}

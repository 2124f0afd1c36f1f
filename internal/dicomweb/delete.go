package dicomweb

import (
	"net/http"

	"pharos/internal/access"
)

// delete removes a study, series or instance. PS3.18 has no such request for studies;
// this is the form that dcm4chee, Google and others agree on.
func (s *server) delete(w *reply, r *http.Request) error {
	ref, err := refOf(r)
	if err != nil {
		return err
	}
	if _, err := s.archive.Delete(r.Context(), ref, access.All()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

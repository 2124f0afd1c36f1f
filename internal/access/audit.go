package access

import (
	"context"
	"log/slog"

	"pharos/internal/dicom"
)

// Event is one line of the audit trail: a touch of patient data, or a refusal. It
// carries identifiers of the standard but no attribute of a patient.
type Event struct {
	Principal Principal
	Action    Action
	Ref       dicom.Ref
	Album     AlbumID
	Count     int   // instances or results concerned; 0 when not known
	Err       error // nil when it was done
}

// Auditor keeps the audit trail. Record must not block for long and can't fail: what
// it can't keep, it reports to the operator itself.
type Auditor interface {
	Record(ctx context.Context, e Event)
}

// LogAuditor writes events to a structured log.
type LogAuditor struct{ Log *slog.Logger }

// Record implements Auditor.
func (l LogAuditor) Record(ctx context.Context, e Event) {
	level, outcome := slog.LevelInfo, "done"
	if e.Err != nil {
		level, outcome = slog.LevelWarn, e.Err.Error()
	}
	l.Log.LogAttrs(ctx, level, "audit",
		slog.String("principal", e.Principal.Name),
		slog.String("action", e.Action.String()),
		slog.String("study", string(e.Ref.Study)),
		slog.String("series", string(e.Ref.Series)),
		slog.String("instance", string(e.Ref.Instance)),
		slog.String("album", string(e.Album)),
		slog.Int("count", e.Count),
		slog.String("outcome", outcome))
}

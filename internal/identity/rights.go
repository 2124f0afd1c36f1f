package identity

import (
	"fmt"
	"strings"

	"pharos/internal/access"
)

var rights = map[string]access.Action{
	"find":       access.Find,
	"retrieve":   access.Retrieve,
	"store":      access.Store,
	"delete":     access.Delete,
	"administer": access.Administer,
	"everything": access.Everything,
}

// ParseRights understands a list of rights as Action.String writes it: names separated
// by commas. "everything" stands for all of them. ErrInvalid names what it does not
// know.
func ParseRights(text string) (access.Action, error) {
	var may access.Action
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		a, ok := rights[name]
		if !ok {
			return 0, fmt.Errorf("right %q is %w: choose from find, retrieve, store, delete, administer, everything", name, ErrInvalid)
		}
		may |= a
	}
	return may, nil
}

package dimse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pharos/internal/archive"
)

// releaseTime is how long the release of an association with a destination may take. All
// is acknowledged by then.
const releaseTime = 10 * time.Second

// maxReconnects is how many times in a row the association with a destination may fail
// before the rest of a C-MOVE is given up.
const maxReconnects = 3

// move answers C-MOVE (PS3.4 §C.4.2): it sends the instances to the destination on
// associations of its own.
func (s *session) move(ctx context.Context, m *message) error {
	id, err := s.identifier(m)
	if err != nil {
		return s.refuse(m, err)
	}
	node, ok := s.server.config.Destination(m.MoveDestination)
	if !ok {
		return s.refuse(m, &failure{status: UnknownDestination, comment: "destination is not configured here"})
	}
	r, err := s.retrieval(ctx, m, id)
	if err != nil {
		return s.refuse(m, err)
	}
	mv := &mover{retrieval: r, node: node, from: originator{aet: s.assoc.CallingAET(), messageID: m.MessageID}}
	for _, batch := range OfferStore(kindsOf(r.instances)) {
		cancelled, err := mv.send(ctx, batch)
		if err != nil {
			return err
		}
		if cancelled {
			return r.finish(Cancelled, "")
		}
	}
	return r.finish(r.outcome())
}

func kindsOf(instances []archive.Instance) []Kind {
	seen := map[Kind]bool{}
	var kinds []Kind
	for _, i := range instances {
		k := Kind{Class: i.SOPClass(), Syntax: i.TransferSyntax()}
		if !seen[k] {
			seen[k] = true
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// mover sends the instances of a C-MOVE.
type mover struct {
	*retrieval
	node   Node
	from   originator
	client *Client // nil when there is no association
	lost   int     // associations that failed in a row
}

// send sends the instances whose kinds are in the batch. An error is the end of the
// association with the asker.
func (mv *mover) send(ctx context.Context, batch Batch) (cancelled bool, err error) {
	defer mv.hangUp(ctx)
	for _, i := range mv.instances {
		if !slices.Contains(batch.Kinds, Kind{Class: i.SOPClass(), Syntax: i.TransferSyntax()}) {
			continue
		}
		if cancelled, err := mv.session.cancelRequested(mv.request); cancelled || err != nil {
			return cancelled, err
		}
		status, err := mv.sendOne(ctx, batch, i)
		mv.count(i, status, err)
		if err := mv.progress(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// sendOne sends one instance, on a new association if there is none.
func (mv *mover) sendOne(ctx context.Context, batch Batch, i archive.Instance) (Status, error) {
	if err := mv.connect(ctx, batch); err != nil {
		return 0, err
	}
	status, err := mv.client.store(ctx, ObjectOf(i), mv.request.Priority, mv.from)
	if mv.client.assoc.Err() != nil {
		mv.lost++
		mv.hangUp(ctx)
	} else {
		mv.lost = 0
	}
	return status, err
}

// connect makes sure that there is an association with the destination.
func (mv *mover) connect(ctx context.Context, batch Batch) error {
	if mv.client != nil {
		return nil
	}
	if mv.lost >= maxReconnects {
		return fmt.Errorf("dimse: destination %s was given up", mv.node.AETitle)
	}
	config := ClientConfig{AETitle: mv.session.server.config.AETitle, Limits: mv.session.server.config.Limits.Association}
	client, err := Dial(ctx, mv.node, config, batch.Offers...)
	if err != nil {
		mv.lost++
		return err
	}
	mv.client = client
	return nil
}

// hangUp ends the association with the destination.
func (mv *mover) hangUp(ctx context.Context) {
	if mv.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	_ = mv.client.Release(ctx) // everything is acknowledged or counted as failed
	_ = mv.client.Close()
	mv.client = nil
}

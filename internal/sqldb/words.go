package sqldb

import (
	"context"
	"sync"
)

// wordCache remembers the table of words: SOP classes, transfer syntaxes, volumes,
// sources and albums, each of which is kept as a number with every instance. It is
// bounded because sources are given by strangers.
type wordCache struct {
	mu   sync.RWMutex
	ids  map[string]int64
	text map[int64]string
}

const maxWords = 10_000

func (w *wordCache) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids, w.text = make(map[string]int64), make(map[int64]string)
}

func (w *wordCache) remember(id int64, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ids) >= maxWords {
		w.ids, w.text = make(map[string]int64), make(map[int64]string)
	}
	w.ids[text], w.text[id] = id, text
}

func (w *wordCache) find(text string) (int64, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	id, ok := w.ids[text]
	return id, ok
}

func (w *wordCache) read(id int64) (string, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	text, ok := w.text[id]
	return text, ok
}

// lookup returns the number of a word, if it has one. The empty word is 0.
func (w *wordCache) lookup(ctx context.Context, c conn, text string) (int64, bool, error) {
	if text == "" {
		return 0, true, nil
	}
	if id, ok := w.find(text); ok {
		return id, true, nil
	}
	var id int64
	found, err := queryRow(ctx, c, "SELECT id FROM word WHERE text = ?", []any{cleanTerm(text)}, &id)
	if found && err == nil {
		w.remember(id, text)
	}
	return id, found, err
}

// number returns the number of a word, which it gives it if need be.
func (w *wordCache) number(ctx context.Context, c conn, text string) (int64, error) {
	id, found, err := w.lookup(ctx, c, text)
	if found || err != nil {
		return id, err
	}
	if _, err := c.exec(ctx, "INSERT INTO word (text) VALUES (?)", cleanTerm(text)); err != nil {
		return 0, err
	}
	id, _, err = w.lookup(ctx, c, text)
	return id, err
}

// word returns the word of a number.
func (w *wordCache) word(ctx context.Context, c conn, id int64) (string, error) {
	if id == 0 {
		return "", nil
	}
	if text, ok := w.read(id); ok {
		return text, nil
	}
	var text string
	found, err := queryRow(ctx, c, "SELECT text FROM word WHERE id = ?", []any{id}, &text)
	if found && err == nil {
		w.remember(id, text)
	}
	return text, err
}

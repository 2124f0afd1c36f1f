package identity

import (
	"container/list"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// cache remembers for a short time which passwords were found good, so that a viewer
// which sends Basic with each of a hundred requests costs one hash and not a hundred.
// It keeps no password: the key is an HMAC under a key that dies with the process. The
// value is the stored hash that the password matched, so that a changed password is
// refused at once.
type cache struct {
	secret   [sha256.Size]byte
	lifetime time.Duration
	size     int

	mu    sync.Mutex
	byKey map[[sha256.Size]byte]*list.Element
	order *list.List // of *good, the newest first
}

type good struct {
	key     [sha256.Size]byte
	hash    string
	expires time.Time
}

func newCache(lifetime time.Duration, size int) *cache {
	c := &cache{lifetime: lifetime, size: size, byKey: make(map[[sha256.Size]byte]*list.Element), order: list.New()}
	_, _ = rand.Read(c.secret[:]) // never fails
	return c
}

// key is computed with the length of the name in front, so that no two pairs share one.
func (c *cache) key(name, password string) (key [sha256.Size]byte) {
	mac := hmac.New(sha256.New, c.secret[:])
	mac.Write([]byte{byte(len(name) >> 8), byte(len(name))})
	mac.Write([]byte(name))
	mac.Write([]byte(password))
	mac.Sum(key[:0])
	return key
}

// holds reports whether the credential was found to match the hash a short time ago.
func (c *cache) holds(key [sha256.Size]byte, hash string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return false
	}
	g := e.Value.(*good)
	if g.hash != hash || !now.Before(g.expires) {
		c.drop(e)
		return false
	}
	return true
}

func (c *cache) add(key [sha256.Size]byte, hash string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.drop(e)
	}
	c.byKey[key] = c.order.PushFront(&good{key: key, hash: hash, expires: now.Add(c.lifetime)})
	if c.order.Len() > c.size {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	c.order.Remove(e)
	delete(c.byKey, e.Value.(*good).key)
}

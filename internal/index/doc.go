// Package index knows which instances there are: their attributes, where their bytes
// lie, and in which albums their series are placed.
//
// An instance exists from the moment [Index.Commit] returns, and not before: it is
// the only point where anything becomes visible. Everything that happens later
// (forwarding, webhooks, headers of series) follows [Index.Changes] at its own pace,
// so that no feature joins the transaction of an arriving instance.
//
// Package indextest holds the suite that every implementation passes; it is also where
// the rules of matching are told. Package sqldb implements Index on SQLite and
// PostgreSQL.
package index

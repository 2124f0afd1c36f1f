// Package sqldb implements index.Index on SQLite and on PostgreSQL.
//
// Both share everything but their connections and the few words in which their SQL
// differs ([dialect], [engine]). The tables:
//
//	ledger       one row: the numbers given last, the totals, the mark of Sync
//	word         texts that recur (SOP classes, syntaxes, volumes, sources, albums), by number
//	study        a study with its patient: UID, modalities, kept counts, packed attributes
//	study_block  how many studies there are in each run of 1,024 ids, so that an offset is found fast
//	term         (attribute, value as it is compared) -> study: what narrows a search
//	series       a series: UID, counts, modality, SOP classes, where its headers are
//	instance     an instance: UID, location, digest, layout, packed attributes
//	held         instances kept aside
//	placement    (album, series): what a scope sees
//	removal      what was removed, by number of change
//	garbage      locations that are needed no longer
//
// # Writing
//
// There is one write transaction at a time, also across replicas on PostgreSQL, where
// it locks the ledger. So an instance can be numbered by the sequence of changes when it
// is inserted, the sequence has no gaps, and nothing that the transaction has read
// changes under it. Throughput comes from sharing: callers of Commit that wait are
// committed together, and counts are written once per transaction. For an instance of a
// known series that makes one INSERT.
//
// On SQLite the transaction moreover stays open until somebody reads. A transaction per
// instance would write every page that the instance touches, some 30 kB, to the WAL;
// hundreds of instances share most of them. Nothing is lost by it that was promised:
// index.Index lets Commit be durable only after Sync, and the owner of the blobs replays
// what came later. When the transaction is lost, as on a full disk, where SQLite rolls it
// back, the index refuses everything until it is opened again, which is the same as a
// crash.
//
// On PostgreSQL Commit is durable when it returns.
//
// Of attributes in which the instances of a study or series disagree, the first counts;
// those that are empty are filled in by later instances.
//
// # Reading
//
// SQL only narrows down; package index decides what matches (see [DB.Query]). That
// makes both databases agree, whatever their collations are, and keeps the number of
// statements small.
package sqldb

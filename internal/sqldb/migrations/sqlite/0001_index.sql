-- The index of instances. What each table is for is told in doc.go.

CREATE TABLE ledger (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  seq INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  last_study INTEGER NOT NULL,
  last_series INTEGER NOT NULL,
  studies INTEGER NOT NULL,
  series INTEGER NOT NULL,
  instances INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  mark TEXT NOT NULL
);
INSERT INTO ledger VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, '');

CREATE TABLE word (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
);

CREATE TABLE study (
  id INTEGER PRIMARY KEY,
  uid TEXT NOT NULL,
  modalities TEXT NOT NULL,
  series INTEGER NOT NULL,
  instances INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  attributes BLOB NOT NULL
);
CREATE UNIQUE INDEX study_uid ON study (uid);

CREATE TABLE study_block (
  block INTEGER PRIMARY KEY,
  studies INTEGER NOT NULL
);

CREATE TABLE term (
  tag INTEGER NOT NULL,
  term TEXT NOT NULL,
  study_id INTEGER NOT NULL,
  PRIMARY KEY (tag, term, study_id)
) WITHOUT ROWID;

CREATE TABLE series (
  id INTEGER PRIMARY KEY,
  study_id INTEGER NOT NULL,
  uid TEXT NOT NULL,
  modality TEXT NOT NULL,
  classes TEXT NOT NULL,
  instances INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  latest INTEGER NOT NULL,
  headers_volume INTEGER NOT NULL,
  headers_key TEXT NOT NULL,
  headers_through INTEGER NOT NULL,
  attributes BLOB NOT NULL
);
CREATE UNIQUE INDEX series_uid ON series (uid);
CREATE INDEX series_study ON series (study_id);
CREATE INDEX series_headers ON series (headers_volume, headers_key) WHERE headers_key <> '';

CREATE TABLE instance (
  id INTEGER PRIMARY KEY,
  series_id INTEGER NOT NULL,
  uid TEXT NOT NULL,
  number INTEGER NOT NULL,
  class INTEGER NOT NULL,
  syntax INTEGER NOT NULL,
  volume INTEGER NOT NULL,
  key TEXT NOT NULL,
  size INTEGER NOT NULL,
  sha256 BLOB NOT NULL,
  received INTEGER NOT NULL,
  source INTEGER NOT NULL,
  layout BLOB NOT NULL,
  attributes BLOB NOT NULL
);
CREATE UNIQUE INDEX instance_uid ON instance (uid);
CREATE INDEX instance_series ON instance (series_id, number);
CREATE INDEX instance_location ON instance (key, volume);

CREATE TABLE held (
  id INTEGER PRIMARY KEY,
  study_uid TEXT NOT NULL,
  series_uid TEXT NOT NULL,
  uid TEXT NOT NULL,
  class INTEGER NOT NULL,
  syntax INTEGER NOT NULL,
  volume INTEGER NOT NULL,
  key TEXT NOT NULL,
  size INTEGER NOT NULL,
  sha256 BLOB NOT NULL,
  received INTEGER NOT NULL,
  source INTEGER NOT NULL,
  album INTEGER NOT NULL,
  layout BLOB NOT NULL,
  attributes BLOB NOT NULL
);
CREATE UNIQUE INDEX held_uid ON held (uid, sha256);
CREATE INDEX held_series ON held (study_uid, series_uid);
CREATE INDEX held_location ON held (key, volume);

CREATE TABLE placement (
  album INTEGER NOT NULL,
  study_id INTEGER NOT NULL,
  series_id INTEGER NOT NULL,
  PRIMARY KEY (album, study_id, series_id)
) WITHOUT ROWID;
CREATE INDEX placement_series ON placement (series_id, album);

CREATE TABLE removal (
  seq INTEGER PRIMARY KEY,
  study_uid TEXT NOT NULL,
  series_uid TEXT NOT NULL,
  uid TEXT NOT NULL,
  removed INTEGER NOT NULL
);

CREATE TABLE garbage (
  key TEXT NOT NULL,
  volume INTEGER NOT NULL,
  PRIMARY KEY (key, volume)
) WITHOUT ROWID;

-- The index of instances. What each table is for is told in doc.go.

CREATE TABLE ledger (
  id integer PRIMARY KEY CHECK (id = 1),
  seq bigint NOT NULL,
  generation bigint NOT NULL,
  last_study bigint NOT NULL,
  last_series bigint NOT NULL,
  studies bigint NOT NULL,
  series bigint NOT NULL,
  instances bigint NOT NULL,
  bytes bigint NOT NULL,
  mark text COLLATE "C" NOT NULL
);
INSERT INTO ledger VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, '');

CREATE TABLE word (
  id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  text text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE study (
  id bigint PRIMARY KEY,
  uid text COLLATE "C" NOT NULL,
  modalities text COLLATE "C" NOT NULL,
  series bigint NOT NULL,
  instances bigint NOT NULL,
  bytes bigint NOT NULL,
  attributes bytea NOT NULL
);
CREATE UNIQUE INDEX study_uid ON study (uid);

CREATE TABLE study_block (
  block bigint PRIMARY KEY,
  studies bigint NOT NULL
);

CREATE TABLE term (
  tag bigint NOT NULL,
  term text COLLATE "C" NOT NULL,
  study_id bigint NOT NULL,
  PRIMARY KEY (tag, term, study_id)
);

CREATE TABLE series (
  id bigint PRIMARY KEY,
  study_id bigint NOT NULL,
  uid text COLLATE "C" NOT NULL,
  modality text COLLATE "C" NOT NULL,
  classes text COLLATE "C" NOT NULL,
  instances bigint NOT NULL,
  bytes bigint NOT NULL,
  latest bigint NOT NULL,
  headers_volume integer NOT NULL,
  headers_key text COLLATE "C" NOT NULL,
  headers_through bigint NOT NULL,
  attributes bytea NOT NULL
);
CREATE UNIQUE INDEX series_uid ON series (uid);
CREATE INDEX series_study ON series (study_id);
CREATE INDEX series_headers ON series (headers_volume, headers_key) WHERE headers_key <> '';

CREATE TABLE instance (
  id bigint PRIMARY KEY,
  series_id bigint NOT NULL,
  uid text COLLATE "C" NOT NULL,
  number bigint NOT NULL,
  class integer NOT NULL,
  syntax integer NOT NULL,
  volume integer NOT NULL,
  key text COLLATE "C" NOT NULL,
  size bigint NOT NULL,
  sha256 bytea NOT NULL,
  received bigint NOT NULL,
  source integer NOT NULL,
  layout bytea NOT NULL,
  attributes bytea NOT NULL
);
CREATE UNIQUE INDEX instance_uid ON instance (uid);
CREATE INDEX instance_series ON instance (series_id, number);
CREATE INDEX instance_location ON instance (key, volume);

CREATE TABLE held (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  study_uid text COLLATE "C" NOT NULL,
  series_uid text COLLATE "C" NOT NULL,
  uid text COLLATE "C" NOT NULL,
  class integer NOT NULL,
  syntax integer NOT NULL,
  volume integer NOT NULL,
  key text COLLATE "C" NOT NULL,
  size bigint NOT NULL,
  sha256 bytea NOT NULL,
  received bigint NOT NULL,
  source integer NOT NULL,
  album integer NOT NULL,
  layout bytea NOT NULL,
  attributes bytea NOT NULL
);
CREATE UNIQUE INDEX held_uid ON held (uid, sha256);
CREATE INDEX held_series ON held (study_uid, series_uid);
CREATE INDEX held_location ON held (key, volume);

CREATE TABLE placement (
  album integer NOT NULL,
  study_id bigint NOT NULL,
  series_id bigint NOT NULL,
  PRIMARY KEY (album, study_id, series_id)
);
CREATE INDEX placement_series ON placement (series_id, album);

CREATE TABLE removal (
  seq bigint PRIMARY KEY,
  study_uid text COLLATE "C" NOT NULL,
  series_uid text COLLATE "C" NOT NULL,
  uid text COLLATE "C" NOT NULL,
  removed bigint NOT NULL
);

CREATE TABLE garbage (
  key text COLLATE "C" NOT NULL,
  volume integer NOT NULL,
  PRIMARY KEY (key, volume)
);

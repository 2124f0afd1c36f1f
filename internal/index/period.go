package index

import (
	"math"
	"slices"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// endless is the period of a range without ends.
var endless = archive.Period{First: math.MinInt64, Last: math.MaxInt64}

// periods returns what a match on dates or times asks for: a period for each value, or
// the one from the beginning of a range's first value to the end of its last.
func periods(m archive.Match, parse func(string) (archive.Period, bool)) []archive.Period {
	if m.Kind == archive.Between {
		wanted := endless
		if from, ok := parse(m.Values[0]); ok {
			wanted.First = from.First
		}
		if to, ok := parse(m.Values[1]); ok {
			wanted.Last = to.Last
		}
		return []archive.Period{wanted}
	}
	var wanted []archive.Period
	for _, v := range m.Values {
		if p, ok := parse(v); ok {
			wanted = append(wanted, p)
		}
	}
	return wanted
}

// Dates returns the periods of days, as numbers YYYYMMDD, that a match on a DA asks
// for. An index over dates may narrow by them.
func Dates(m archive.Match) []archive.Period { return periods(m, archive.ParseDate) }

// comparePeriods compares the first moment of a value with the periods asked for, so
// that a value of lesser precision counts as its beginning.
func comparePeriods(m archive.Match, parse func(string) (archive.Period, bool)) func(string) bool {
	wanted := periods(m, parse)
	return func(v string) bool {
		have, ok := parse(v)
		return ok && slices.ContainsFunc(wanted, func(p archive.Period) bool { return p.Contains(have.First) })
	}
}

// compareMoments compares a DT. A value without offset takes that of the data set
// (0008,0201). When still one side has none, a key without is local to the value, and
// a value without is in UTC.
func compareMoments(m archive.Match) func(*dicom.Dataset, environment) bool {
	tag := m.Tag()
	return func(d *dicom.Dataset, env environment) bool {
		return slices.ContainsFunc(d.Texts(tag), func(v string) bool {
			have, ok := archive.ParseDateTime(v)
			return ok && momentWanted(m, have, env)
		})
	}
}

func momentWanted(m archive.Match, have archive.Moment, env environment) bool {
	utc, local := have.First, have.First
	switch {
	case have.Zoned && env.zoned:
		local = utc + env.offset
	case env.zoned:
		utc = local - env.offset
	}
	inside := func(from, to string) bool {
		if k, ok := archive.ParseDateTime(from); ok && pick(k.Zoned, utc, local) < k.First {
			return false
		}
		if k, ok := archive.ParseDateTime(to); ok && pick(k.Zoned, utc, local) > k.Last {
			return false
		}
		return true
	}
	if m.Kind == archive.Between {
		return inside(m.Values[0], m.Values[1])
	}
	return slices.ContainsFunc(m.Values, func(v string) bool { return inside(v, v) })
}

func pick(zoned bool, utc, local int64) int64 {
	if zoned {
		return utc
	}
	return local
}

// dateTimes are the dates and the times that belong to them.
var dateTimes = [...]struct{ date, time dicom.Tag }{
	{dict.StudyDate, dict.StudyTime},
	{dict.SeriesDate, dict.SeriesTime},
	{dict.AcquisitionDate, dict.AcquisitionTime},
	{dict.ContentDate, dict.ContentTime},
	{dict.PatientBirthDate, dict.PatientBirthTime},
	{dict.PerformedProcedureStepStartDate, dict.PerformedProcedureStepStartTime},
}

// combineDateTimes takes the pairs of a range of dates and a range of times out of the
// matches and returns one condition for each.
func combineDateTimes(matches []archive.Match) (rest []archive.Match, combined []condition) {
	rest = slices.Clone(matches)
	take := func(tag dicom.Tag) int {
		return slices.IndexFunc(rest, func(m archive.Match) bool {
			return len(m.Path) == 1 && m.Path[0] == tag && (m.Kind == archive.Between || m.Kind == archive.Single)
		})
	}
	for _, pair := range dateTimes {
		i, j := take(pair.date), take(pair.time)
		if i < 0 || j < 0 {
			continue
		}
		combined = append(combined, condition{tag: pair.date, holds: compareDateTime(rest[i], rest[j])})
		rest[i].Kind, rest[j].Kind = archive.Universal, archive.Universal
	}
	return rest, combined
}

// compareDateTime compares a date and its time with the period from the first date at
// the first time to the last date at the last time.
func compareDateTime(date, time archive.Match) func(*dicom.Dataset, environment) bool {
	days, times := periods(date, archive.ParseDate)[0], periods(time, archive.ParseTime)[0]
	return func(_ *dicom.Dataset, env environment) bool {
		d, ok := firstPeriod(env.levels, date.Tag(), archive.ParseDate)
		if !ok || !days.Contains(d.First) {
			return false
		}
		t, ok := firstPeriod(env.levels, time.Tag(), archive.ParseTime)
		if !ok {
			return false
		}
		return (d.First > days.First || t.First >= times.First) && (d.First < days.Last || t.First <= times.Last)
	}
}

func firstPeriod(levels []*dicom.Dataset, tag dicom.Tag, parse func(string) (archive.Period, bool)) (archive.Period, bool) {
	d := having(levels, tag)
	if d == nil {
		return archive.Period{}, false
	}
	return parse(d.Text(tag))
}

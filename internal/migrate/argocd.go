package migrate

import "towpath.dev/towpath/internal/patch"

func ImageUpdater(files []patch.File) Result { return newCollector(files).finish(nil, nil) }

// A failing property is enough to notice a mutant; to look for its smallest example can take minutes.
import fc from "fast-check";

fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true });

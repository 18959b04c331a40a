// A model as Python holds it.
#pragma once

#include "bundle/model.hpp"
#include "codec/part_coders.hpp"

namespace cca::python {

struct PyModel {
    Model model;

    ModelView view() const {
        return {&model.manifest, &model.tables.gaussian, &model.tables.hyper_latents};
    }
};

/// What of a model is known before its files are.
struct PyCodingPlan {
    Manifest manifest;
};

}  // namespace cca::python

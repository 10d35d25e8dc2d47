// The CUDA templates as text, embedded at build time.
#pragma once

namespace lathe {

struct Template {
  const char* path;  ///< "templates/device/mma.cuh"
  const char* text;
};

/// Ends with an entry of null pointers.
extern const Template kTemplates[];

}  // namespace lathe

// The two resampling kernels behind image_geometry.h, which says what they equal.
// Sizes are positive. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_IMAGE_RESIZE_H_
#define STOCKPOT_SERVER_WORKER_DATASET_IMAGE_RESIZE_H_

#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/image.h"

namespace stockpot {

Image ResizeAntialiased(const Image& image, int height, int width, Interpolation interpolation);
Image ResizeInterpolated(const Image& image, int height, int width, Interpolation interpolation);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_IMAGE_RESIZE_H_
